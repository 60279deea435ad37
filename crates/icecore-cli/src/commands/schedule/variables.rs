//! Variables that are set here, and not at night: neither systemd nor cron has them.

use icecore::{Place, Project, Service};

use crate::context::Context;
use crate::password;
use crate::ui::Ui;
use crate::units::printable;

/// By which servers on the web are reached.
const WEB: [&str; 10] = [
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// By which a bucket is reached.
const S3: [&str; 10] = [
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CA_BUNDLE",
];
/// To which services leave what they do not say.
const ENGINES: [&str; 13] = [
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGPASSWORD",
    "PGDATABASE",
    "PGPASSFILE",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGCHANNELBINDING",
    "MYSQL_PWD",
    "REDISCLI_AUTH",
];

/// Tells of each that is heeded by what is scheduled.
pub(super) fn warn(ui: &mut Ui, context: &Context, project: &Project) {
    if context.password_file.is_none() && password::is_given(None) {
        ui.warn("the password of the store in ICECORE_PASSWORD is not there when it is run: --password-file FILE is");
    }
    let scheduled = project.config.services.iter().filter(|(_, service)| service.schedule.is_some());
    let scheduled: Vec<(&String, &Service)> = scheduled.collect();
    for variable in heeded(context, project, &scheduled) {
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            ui.warn(format_args!("the variable {variable} is set here, and not when it is run"));
        }
    }
    for (name, service) in scheduled {
        if let Some(variable) = &service.password_env {
            ui.warn(format_args!(
                "{}: the variable {} with its password is not set when it is run; password_file or password_command says it there",
                printable(name),
                printable(variable)
            ));
        }
    }
}

fn heeded(context: &Context, project: &Project, scheduled: &[(&String, &Service)]) -> Vec<&'static str> {
    let settings = &project.config.nightly;
    let is_far = |place: &Place| place.as_directory().is_none();
    let remotes = context.remotes();
    let is_remote_far = |remote: &String| {
        let place = remotes.as_ref().ok().and_then(|remotes| remotes.place(remote, &project.dir).ok());
        place.is_some_and(|place| is_far(&place))
    };
    let needs_s3 = context.meant_place().is_ok_and(|place| is_far(&place))
        || settings.push.iter().chain(&settings.prune_remotes).any(is_remote_far);
    let is_told = settings.webhook.is_some()
        || settings.webhook_file.is_some()
        || settings.ping.is_some()
        || scheduled.iter().any(|(_, service)| service.ping.is_some());
    let mut variables = Vec::new();
    if needs_s3 || is_told {
        variables.extend(WEB);
    }
    if needs_s3 {
        variables.extend(S3);
    }
    let is_heeded = |variable: &&'static str| {
        let environment = context.environment();
        scheduled.iter().any(|(name, service)| service.heeds(variable, name, &project.dir, &environment))
    };
    variables.extend(ENGINES.into_iter().filter(is_heeded));
    variables
}
