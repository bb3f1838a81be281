//! What went wrong, what to do about it, and how the program ends.

use std::{error::Error, fmt, io, path::Path, process::ExitCode};

use bowline::{
    AddError, DialError, GetError, StartError, StoreError,
    swarm::{IdentifyError, OpenError, PerfError, PingError},
};

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failed,
    NotFound,
    Unreachable,
    Store,
    Interrupted,
    BrokenPipe,
}

impl Failure {
    fn new(kind: Kind, message: impl fmt::Display, hint: Option<&str>) -> Self {
        Self { message: message.to_string(), hint: hint.map(ToOwned::to_owned), kind }
    }

    /// A failure with nothing more to say than its cause.
    pub(crate) fn failed(error: &dyn Error) -> Self {
        Self::new(Kind::Failed, chain(error), None)
    }

    /// A failure with something to try.
    pub(crate) fn with_hint(message: impl fmt::Display, hint: &str) -> Self {
        Self::new(Kind::Failed, message, Some(hint))
    }

    /// No peer could be reached.
    pub(crate) fn unreachable(message: impl fmt::Display, hint: &str) -> Self {
        Self::new(Kind::Unreachable, message, Some(hint))
    }

    /// Ctrl-C or SIGTERM.
    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted", None)
    }

    /// The file system refused.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::new(Kind::Failed, format!("{}: {error}", path.display()), None)
    }

    /// Standard output refused.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        let kind = if error.kind() == io::ErrorKind::BrokenPipe { Kind::BrokenPipe } else { Kind::Failed };
        Self::new(kind, format!("standard output: {error}"), None)
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.kind == Kind::BrokenPipe
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Failed | Kind::BrokenPipe => 1,
            Kind::NotFound => 3,
            Kind::Unreachable => 4,
            Kind::Store => 5,
            Kind::Interrupted => 130,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        cause = error.source();
    }
    text
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::InUse { .. } => Some("stop the other process, or name another folder with --store"),
            StoreError::NotARepository { .. } => Some("name an empty or a new folder with --store"),
            StoreError::ReadOnly { .. } => {
                Some("check the folder's permissions, or name another with --store")
            }
            StoreError::Full { .. } => {
                Some("make room, then run the command again: what is stored stays stored")
            }
            StoreError::CorruptBlock { .. } => Some("get the content again: the damaged block is replaced"),
            _ => None,
        };
        Self::new(Kind::Store, chain(&error), hint)
    }
}

impl From<AddError> for Failure {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Store(error) => error.into(),
            AddError::Io { kind: io::ErrorKind::NotFound, .. } => {
                Self::new(Kind::Failed, error, Some("check the path"))
            }
            error => Self::failed(&error),
        }
    }
}

impl From<GetError> for Failure {
    fn from(error: GetError) -> Self {
        let message = chain(&error);
        match error {
            GetError::Store(error) => error.into(),
            GetError::Missing { .. } => {
                let hint = "name another peer with --from, or check that the peer has the whole of it";
                Self::new(Kind::NotFound, message, Some(hint))
            }
            GetError::TimedOut { .. } => Self::new(
                Kind::NotFound,
                message,
                Some("wait longer with --timeout, or name another peer with --from"),
            ),
            GetError::Exists { .. } => Self::new(Kind::Failed, message, Some("name another place with -o")),
            GetError::WrongKind { .. } => {
                Self::new(Kind::Failed, message, Some("use cat or get for files, ls for directories"))
            }
            GetError::Tree(_) => {
                Self::new(Kind::Failed, message, Some("the content is not a sound UnixFS file or directory"))
            }
            _ => Self::new(Kind::Failed, message, None),
        }
    }
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        let hint = match &error {
            DialError::All { attempts } if attempts.iter().any(|attempt| is_wrong_peer(&attempt.error)) => {
                "the address is right and the peer id after /p2p/ is not: ask the peer for its id, or leave /p2p/… out"
            }
            _ => "check that the peer runs and that the address is right",
        };
        Self::unreachable(chain(&error), hint)
    }
}

fn is_wrong_peer(error: &bowline::swarm::AddrError) -> bool {
    matches!(error, bowline::swarm::AddrError::Upgrade(bowline::swarm::UpgradeError::WrongPeer { .. }))
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Host(_) => Self::with_hint(
                chain(&error),
                "name another address with --listen, such as /ip4/127.0.0.1/tcp/0",
            ),
            error => Self::failed(&error),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Dial(error) => error.into(),
            error => Self::failed(&error),
        }
    }
}

impl From<PingError> for Failure {
    fn from(error: PingError) -> Self {
        Self::with_hint(chain(&error), "the peer may not serve ping, or have closed the connection")
    }
}

impl From<PerfError> for Failure {
    fn from(error: PerfError) -> Self {
        Self::with_hint(chain(&error), "the peer must serve /perf/1.0.0: bowline does with serve --perf")
    }
}

impl From<IdentifyError> for Failure {
    fn from(error: IdentifyError) -> Self {
        Self::failed(&error)
    }
}
