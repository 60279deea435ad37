//! What can be asked of a storage.

/// A request to a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `get` and `get_versioned`.
    Get,
    /// `get_range`.
    GetRange,
    /// `put`.
    Put,
    /// `list`.
    List,
    /// `len`.
    Len,
    /// `delete`.
    Delete,
    /// `hold`.
    Hold,
    /// `holder`.
    Holder,
    /// `settle`.
    Settle,
    /// `clear_unfinished`.
    Clear,
}

impl Call {
    /// Whether it changes which objects there are.
    pub fn changes(self) -> bool {
        matches!(self, Self::Put | Self::Delete | Self::Hold)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetRange => "get_range",
            Self::Put => "put",
            Self::List => "list",
            Self::Len => "len",
            Self::Delete => "delete",
            Self::Hold => "hold",
            Self::Holder => "holder",
            Self::Settle => "settle",
            Self::Clear => "clear",
        }
    }
}
