//! Names through DNS.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bowline_transport::{BoxFuture, TransportError};
use hickory_resolver::{
    TokioResolver,
    config::{GOOGLE, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData},
    system_conf,
};

use super::Resolver;

/// How long one question to one name server may take; it is asked twice.
const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// Names through DNS, with a cache.
#[derive(Clone, Debug)]
pub struct DnsResolver {
    resolver: Result<Arc<TokioResolver>, String>,
}

impl DnsResolver {
    /// Asks the name servers that the system is configured with, and its hosts file; both are read now.
    ///
    /// Where no name servers are configured, as on phones and in bare containers, public ones are asked
    /// (Google's), and a warning says so.
    #[must_use]
    pub fn system() -> Self {
        let (config, options) = system_conf::read_system_conf().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the system's name servers; asking public ones");
            (ResolverConfig::udp_and_tcp(&GOOGLE), ResolverOpts::default())
        });
        Self::with_config(config, options)
    }

    /// Asks `servers` and nobody else, over UDP, and over TCP for long answers.
    #[must_use]
    pub fn with_servers(servers: &[SocketAddr]) -> Self {
        let name_servers = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        let config = ResolverConfig::from_name_servers(name_servers.collect());
        let mut options = ResolverOpts::default();
        options.use_hosts_file = ResolveHosts::Never;
        Self::with_config(config, options)
    }

    fn with_config(config: ResolverConfig, mut options: ResolverOpts) -> Self {
        options.timeout = QUERY_TIMEOUT;
        options.attempts = 2;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build();
        Self { resolver: resolver.map(Arc::new).map_err(|error| error.to_string()) }
    }

    /// The resolver and `name` as an absolute name: a search domain has no say in an address.
    fn question(&self, name: &str) -> Result<(&TokioResolver, Name), TransportError> {
        let resolver = self.resolver.as_deref().map_err(|reason| failure(name, reason))?;
        let mut parsed = Name::from_utf8(name).map_err(|error| failure(name, error))?;
        parsed.set_fqdn(true);
        Ok((resolver, parsed))
    }
}

impl Resolver for DnsResolver {
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, TransportError>> {
        Box::pin(async move {
            let (resolver, question) = self.question(name)?;
            match resolver.lookup_ip(question).await {
                Ok(answer) => Ok(answer.iter().collect()),
                Err(error) => Err(net_failure(name, &error)),
            }
        })
    }

    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, TransportError>> {
        Box::pin(async move {
            let (resolver, question) = self.question(name)?;
            let answer = resolver.txt_lookup(question).await.map_err(|error| net_failure(name, &error))?;
            let texts = answer.answers().iter().filter_map(|record| match &record.data {
                RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
                _ => None,
            });
            Ok(texts.collect())
        })
    }
}

fn net_failure(name: &str, error: &NetError) -> TransportError {
    if error.is_nx_domain() {
        return failure(name, "no such name");
    }
    if error.is_no_records_found() {
        return failure(name, "the name has no such record");
    }
    failure(name, error)
}

fn failure(name: &str, reason: impl ToString) -> TransportError {
    TransportError::Resolve { name: name.to_owned(), reason: reason.to_string() }
}
