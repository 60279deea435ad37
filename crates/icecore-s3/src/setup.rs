//! How the SDK's client comes about: whom it trusts, who it says it is, and where it looks for the bucket.

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_types::service_config::ServiceConfigKey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::cause::Cause;
use crate::options::{Addressing, Credentials, Endpoint, OptionError, S3Options};

/// The authorities of the system, unless nothing is private anyway, and those of the file.
pub(crate) fn trust_store(options: &S3Options) -> Result<TrustStore, Cause> {
    let is_open = options.endpoint.as_ref().is_some_and(|endpoint| !endpoint.is_private());
    let trust = TrustStore::empty().with_native_roots(!is_open);
    let Some(path) = &options.ca_file else { return Ok(trust) };
    let pem = std::fs::read(path)
        .map_err(|error| Cause::Unusable(format!("cannot read {}: {error}", path.display())))?;
    // The SDK takes for granted that they are certificates, and panics if they are not.
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(&pem) {
        let added = cert
            .map_err(|error| error.to_string())
            .and_then(|cert| roots.add(cert).map_err(|error| error.to_string()));
        added.map_err(|error| {
            Cause::Unusable(format!("{} has a certificate that cannot be read: {error}", path.display()))
        })?;
    }
    if roots.is_empty() {
        return Err(Cause::Unusable(format!("{} has no certificate in it", path.display())));
    }
    Ok(trust.with_pem_certificate(pem))
}

/// Asks the environment, profiles and services, when it is told to.
pub(crate) fn loader(options: &S3Options, trust: TrustStore) -> ConfigLoader {
    let context = TlsContext::builder().with_trust_store(trust).build().unwrap_or_default();
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(provider).tls_context(context).build_https();
    let timeouts = TimeoutConfig::builder().connect_timeout(options.connect_timeout).build();
    let defaults = aws_config::defaults(BehaviorVersion::latest());
    let loader = defaults.http_client(http.clone()).timeout_config(timeouts);
    let loader = with_region(loader, options);
    let loader = match &options.profile {
        Some(profile) => loader.profile_name(profile),
        None => loader,
    };
    match &options.credentials {
        Some(Credentials { access_key, secret_key, session_token }) => {
            let token = session_token.clone();
            loader.credentials_provider(aws_sdk_s3::config::Credentials::new(
                access_key, secret_key, token, None, "options",
            ))
        }
        None => match &options.profile {
            // Who is named goes before who is found in the environment.
            Some(profile) => {
                let config = ProviderConfig::without_region().with_http_client(http);
                let found = ProfileFileCredentialsProvider::builder().configure(&config);
                loader.credentials_provider(found.profile_name(profile).build())
            }
            None => loader,
        },
    }
}

fn with_region(loader: ConfigLoader, options: &S3Options) -> ConfigLoader {
    if let Some(region) = &options.region {
        return loader.region(Region::new(region.clone()));
    }
    if options.endpoint.is_none() {
        return loader;
    }
    // Other servers rarely care, and the machine need not be asked in which data centre of AWS it is.
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &options.profile {
        profile = profile.profile_name(name);
    }
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(Region::from_static("us-east-1"));
    loader.region(chain)
}

/// The server, if it is not that of AWS: the one that was named, or else the one that the environment or the profile names, for S3 or for all.
pub(crate) fn endpoint(options: &S3Options, shared: &SdkConfig) -> Result<Option<Endpoint>, Cause> {
    if let Some(endpoint) = &options.endpoint {
        return Ok(Some(endpoint.clone()));
    }
    let of_s3 = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let of_s3 = of_s3.build().ok().and_then(|key| shared.service_config()?.load_config(key));
    let found = of_s3.or_else(|| shared.endpoint_url().map(str::to_owned));
    let parsed = found.map(|url| url.parse()).transpose();
    parsed.map_err(|error: OptionError| {
        Cause::Unusable(format!("taken from AWS_ENDPOINT_URL or the profile: {error}"))
    })
}

pub(crate) fn client(
    options: &S3Options,
    shared: &SdkConfig,
    endpoint: Option<&Endpoint>,
) -> Result<aws_sdk_s3::Client, Cause> {
    let in_path = match options.addressing {
        Addressing::Path => true,
        Addressing::Host => false,
        Addressing::Auto => endpoint.is_some(),
    };
    let region = shared.region().cloned();
    let region = match region {
        None if endpoint.is_some() => Region::from_static("us-east-1"),
        None => {
            let why = "no region is known: name the bucket's with --region, AWS_REGION or in the profile";
            return Err(Cause::Unusable(why.to_owned()));
        }
        Some(region) => region,
    };
    let mut config = aws_sdk_s3::config::Builder::from(shared)
        .region(region)
        .force_path_style(in_path)
        // What is retried, and when, is for callers to say, who know what an unanswered request may have done.
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Each put has an MD5, which every server checks; of newer checksums many know nothing.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        // The store checks every byte that it reads.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint.as_str());
    }
    Ok(aws_sdk_s3::Client::from_conf(config.build()))
}
