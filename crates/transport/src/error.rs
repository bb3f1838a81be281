//! What can end a dial, a stream or a connection.

use std::io;

/// Why an address could not be dialed or listened on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No transport here speaks this address.
    #[error("address is not supported by this transport")]
    Unsupported,
    /// Somebody is there and refuses connections.
    #[error("connection refused")]
    Refused,
    /// No route leads to the address.
    #[error("address is unreachable")]
    Unreachable,
    /// Nothing answered in time.
    #[error("timed out")]
    TimedOut,
    /// The listen address is taken.
    #[error("address is in use")]
    AddressInUse,
    /// A name did not resolve.
    #[error("name {name} did not resolve: {reason}")]
    Resolve {
        /// The name that was looked up.
        name: String,
        /// What the resolver said.
        reason: String,
    },
    /// Names lead to more addresses, or through more steps, than a dial may follow.
    #[error("resolving exceeded the limit of {limit} {what}")]
    ResolveLimit {
        /// What was counted.
        what: &'static str,
        /// The most of it.
        limit: usize,
    },
    /// The operating system refused for another cause.
    #[error("{message}")]
    Io {
        /// The kind of error.
        kind: io::ErrorKind,
        /// What the operating system said.
        message: String,
    },
}

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable => Self::Unreachable,
            Kind::TimedOut => Self::TimedOut,
            Kind::AddrInUse => Self::AddressInUse,
            kind => Self::Io { kind, message: error.to_string() },
        }
    }
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// We did.
    Local,
    /// The peer did.
    Remote,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    #[error("closed by us (code {code:#x})")]
    Local {
        /// The code that the peer was told.
        code: u32,
    },
    /// The peer closed it.
    #[error("closed by the peer (code {code:#x})")]
    Remote {
        /// The code that the peer gave.
        code: u32,
    },
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {rule}")]
    Violation {
        /// The rule it broke.
        rule: String,
    },
    /// The peer stopped answering.
    #[error("the peer stopped answering")]
    KeepAliveTimeout,
    /// The transport ended without a farewell.
    #[error("the connection was lost: {message}")]
    Lost {
        /// The kind of error.
        kind: io::ErrorKind,
        /// What the operating system said.
        message: String,
    },
}

/// Why an operation on a stream failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream was reset; what was in flight is lost in both directions.
    #[error("stream reset by {} (code {code:#x})", match by { Party::Local => "us", Party::Remote => "the peer" })]
    Reset {
        /// The code that came with the reset; zero where the peer gave none.
        code: u32,
        /// Who reset it.
        by: Party,
    },
    /// Our side was finished already; nothing more can be written.
    #[error("stream is finished for writing")]
    Finished,
    /// The connection under the stream ended.
    #[error("connection under the stream: {0}")]
    Connection(#[from] CloseReason),
}
