//! What is damaged, and how.

/// What is done to an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// One bit is another.
    Flip,
    /// Its second half is gone.
    Truncate,
    /// It is gone.
    Delete,
    /// It and another of its kind have changed places.
    Swap,
    /// It is as it was earlier, or as it is in another store of the same history.
    Stale,
    /// Something was added to its end.
    Append,
}

pub(super) const DAMAGES: [Damage; 6] =
    [Damage::Flip, Damage::Truncate, Damage::Delete, Damage::Swap, Damage::Stale, Damage::Append];

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    PackHeader,
    PackBody,
    PackTable,
    PackTrailer,
    DeltaBody,
    DeltaTable,
    Index,
    Manifest,
    Config,
    Key,
    Label,
    Claim,
    Epoch,
    Condemned,
}

pub(super) const OBJECTS: [Object; 14] = [
    Object::PackHeader,
    Object::PackBody,
    Object::PackTable,
    Object::PackTrailer,
    Object::DeltaBody,
    Object::DeltaTable,
    Object::Index,
    Object::Manifest,
    Object::Config,
    Object::Key,
    Object::Label,
    Object::Claim,
    Object::Epoch,
    Object::Condemned,
];

impl Object {
    pub(super) fn is_pack(self) -> bool {
        matches!(self, Self::PackHeader | Self::PackBody | Self::PackTable | Self::PackTrailer)
            || self.is_delta()
    }

    /// Whether it is a pack that holds only how the night differs from the victim.
    pub(super) fn is_delta(self) -> bool {
        matches!(self, Self::DeltaBody | Self::DeltaTable)
    }
}
