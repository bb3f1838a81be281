//! Failures as people and scripts see them: a sentence, a hint, an exit code.

use std::io;

use bowline::{
    AddError, Cid, GetError, Lost, Multiaddr, StartError,
    blockstore::StoreError,
    exchange::files,
    identity::{address, key_file::KeyFileError},
    swarm::{
        AddrError, Attempt, DialError, IdentifyError, OpenError, PerfError, PingError, TransportError,
        UpgradeError,
    },
    unixfs::{Kind, ReadError},
};

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NOT_FOUND: u8 = 3;
pub(crate) const UNREACHABLE: u8 = 4;
pub(crate) const STORE: u8 = 5;
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Whoever read the output stopped reading, which is no failure.
    silent: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::with_code(FAILED, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::with_code(USAGE, message)
    }

    pub(crate) fn interrupted() -> Self {
        Self::with_code(INTERRUPTED, "interrupted")
            .hint("what was stored by then is kept; run it again to go on")
    }

    pub(crate) fn with_code(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, silent: false }
    }

    /// The output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Self { silent, ..Self::new(format!("cannot write the output: {error}")) }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::InUse { .. } => {
                "another bowline works with it: stop that one, or name another store with --store DIR"
            }
            StoreError::NotARepository { .. } => "name a folder that is new or empty with --store DIR",
            StoreError::Version { .. } => "use the bowline that made it, or another store with --store DIR",
            StoreError::ReadOnly { .. } => {
                "make it writable for this user, or name another store with --store DIR"
            }
            StoreError::Full { .. } | StoreError::CapReached { .. } => {
                "make room and run it again; what was stored by then is kept"
            }
            StoreError::CorruptBlock { .. } | StoreError::Unreadable { .. } => DAMAGED,
            StoreError::Corrupt { .. } => {
                "check the disk; move the store away and add or get the content again"
            }
            _ => "check the path and the disk",
        };
        Self::with_code(STORE, format!("store {error}")).hint(hint)
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let hint = match &error {
            KeyFileError::Io { .. } => "check the path; `bowline key generate FILE` makes a key",
            _ => {
                "a key file is what `bowline key generate` or `ipfs key export -f libp2p-protobuf-cleartext` writes"
            }
        };
        let why = match &error {
            KeyFileError::Key { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Self::with_code(STORE, why).hint(hint)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Key(error) => error.into(),
            StartError::Host(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<bowline::swarm::StartError> for Failure {
    fn from(error: bowline::swarm::StartError) -> Self {
        match error {
            bowline::swarm::StartError::Listen(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<bowline::swarm::ListenError> for Failure {
    fn from(error: bowline::swarm::ListenError) -> Self {
        let hint = match &error.source {
            TransportError::AddressInUse => {
                "another program listens there; --listen /ip4/0.0.0.0/tcp/0 takes a free port"
            }
            TransportError::Unsupported => "listen on TCP: --listen /ip4/0.0.0.0/tcp/4001",
            _ => "is it an address of this machine, and may this user listen there?",
        };
        Self::new(error.to_string()).hint(hint)
    }
}

impl From<AddError> for Failure {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Store(error) | AddError::Files(files::AddError::Store(error)) => error.into(),
            AddError::Files(error) => {
                let hint = match &error {
                    files::AddError::Io { kind: io::ErrorKind::NotFound, .. } => "check the path",
                    files::AddError::Io { kind: io::ErrorKind::PermissionDenied, .. } => {
                        "may this user read it?"
                    }
                    files::AddError::Io { message, .. } if is_file_limit(message) => RAISE_FILE_LIMIT,
                    files::AddError::Io { .. } => "check the path and the disk",
                    _ => "add files, directories and symbolic links",
                };
                Self::new(format!("cannot add {error}")).hint(hint)
            }
            error => Self::new(error.to_string()),
        }
    }
}

impl From<GetError> for Failure {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Store(error) => error.into(),
            GetError::Files(error) => error.into(),
            GetError::NoPeers { cid, lost } => {
                let hint = lost.iter().find_map(|(_, lost)| hint_of_lost(lost));
                let causes: Vec<_> = lost.iter().flat_map(|(addr, lost)| causes(addr, lost)).collect();
                let message = format!("no peer to get {cid} from: {}", causes.join("; "));
                Self::with_code(UNREACHABLE, message).hint(hint.unwrap_or_else(|| TRY_ANOTHER.to_owned()))
            }
            error => Self::new(error.to_string()),
        }
    }
}

impl From<files::GetError> for Failure {
    fn from(error: files::GetError) -> Self {
        use files::GetError as Error;
        let (code, hint) = match &error {
            Error::Store(error) => return error.clone().into(),
            Error::Io { kind: io::ErrorKind::BrokenPipe, .. } => {
                return Self::output(&io::Error::from(io::ErrorKind::BrokenPipe));
            }
            Error::Missing { .. } => {
                (NOT_FOUND, "add a peer that has it with --from; has it been added there?")
            }
            Error::NotStored { .. } => (NOT_FOUND, "name a peer that has it with --from ADDR"),
            Error::Damaged { .. } => (STORE, DAMAGED),
            Error::TimedOut { .. } => (NOT_FOUND, "wait longer with --timeout 2m, or add a peer with --from"),
            Error::Tree(_) => (FAILED, "whoever made it made it wrong; there is nothing to do at this end"),
            Error::WrongKind { .. } => (FAILED, WHICH_COMMAND),
            Error::Exists { .. } => (FAILED, "name another place with -o, or move away what is there"),
            Error::Busy { .. } => (FAILED, "wait until the other one is done, or name another place with -o"),
            Error::Io { kind, message, .. } => (FAILED, hint_of_writing(*kind, message)),
            _ => (FAILED, "this should not happen; please report it"),
        };
        Self::with_code(code, error.to_string()).hint(hint)
    }
}

const DAMAGED: &str =
    "check the disk; adding the content again, or getting it into this store, mends what is damaged";

const WHICH_COMMAND: &str =
    "`bowline ls` lists a directory, `bowline cat` shows a file, `bowline get` gets either";

const RAISE_FILE_LIMIT: &str = "this process may open no more files: raise the limit with `ulimit -n`";

/// Whether the operating system said that too many files are open, for which there is no kind of error.
fn is_file_limit(message: &str) -> bool {
    // EMFILE and ENFILE, which are the same on Linux and on macOS.
    [24, 23].iter().any(|code| io::Error::from_raw_os_error(*code).to_string() == message)
}

/// What helps when the file system refuses to write what was got.
fn hint_of_writing(kind: io::ErrorKind, message: &str) -> &'static str {
    use io::ErrorKind as Kind;
    match kind {
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => "may this user write there?",
        Kind::NotFound => "does the folder exist?",
        Kind::StorageFull | Kind::QuotaExceeded => "make room and run it again",
        Kind::FileTooLarge => "a limit of the file system, or `ulimit -f`, allows no file of this length",
        Kind::InvalidFilename => "this file system takes no such name; name another place with -o",
        Kind::NotADirectory => "a part of the path is a file; name another place with -o",
        Kind::AlreadyExists => {
            "does this file system tell upper from lower case? If not, name a place on another one with -o"
        }
        Kind::IsADirectory | Kind::DirectoryNotEmpty => {
            "name another place with -o, or move away what is there"
        }
        _ if is_file_limit(message) => RAISE_FILE_LIMIT,
        _ => "check the path and the disk",
    }
}

impl Failure {
    /// Why `cat` or `ls` of a root failed. A root of another kind is the choice of whoever named it, while a block of
    /// the wrong kind below it is the fault of whoever made the tree.
    pub(crate) fn of_root(root: Cid, error: GetError) -> Self {
        match error {
            GetError::Files(files::GetError::Tree(ReadError::WrongKind { cid, expected, actual }))
                if cid == root =>
            {
                let actual = if actual == Kind::Shard { Kind::Directory } else { actual };
                Self::new(format!("{cid} is a {actual}, not a {expected}")).hint(WHICH_COMMAND)
            }
            error => error.into(),
        }
    }
}

const TRY_ANOTHER: &str = "is the peer running, and is the address right? `bowline serve` prints its own";

/// One sentence for each address that was tried, which is shown as it was given, and what it led to.
fn causes(given: &Multiaddr, lost: &Lost) -> Vec<String> {
    let attempts = match lost {
        Lost::Dial(DialError::All { attempts } | DialError::TimedOut { attempts, .. })
            if !attempts.is_empty() =>
        {
            attempts
        }
        other => return vec![format!("{given}: {other}")],
    };
    let place = |addr: &Multiaddr| address::split_peer_id(addr).0;
    let cause = |attempt: &Attempt| {
        if place(&attempt.addr) == place(given) {
            format!("{given}: {}", attempt.error)
        } else {
            format!("{given} ({}): {}", attempt.addr, attempt.error)
        }
    };
    attempts.iter().map(cause).collect()
}

fn hint_of_lost(lost: &Lost) -> Option<String> {
    let Lost::Dial(error) = lost else {
        return Some("the peer went away; run it again to go on from here".to_owned());
    };
    hint_of_dial(error)
}

fn hint_of_dial(error: &DialError) -> Option<String> {
    let (DialError::All { attempts } | DialError::TimedOut { attempts, .. }) = error else { return None };
    attempts.iter().find_map(|attempt| match &attempt.error {
        AddrError::Upgrade(UpgradeError::WrongPeer { actual, .. }) => {
            Some(format!("if {actual} is the peer that you mean, end the address in its id"))
        }
        AddrError::Transport { source: TransportError::Refused, .. } => {
            Some("nothing listens there: is the peer running, and is the port right?".to_owned())
        }
        AddrError::Transport { source: TransportError::Unsupported, .. } => {
            Some("bowline speaks TCP: an address looks like /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…".to_owned())
        }
        AddrError::Transport { source: TransportError::TimedOut, .. } | AddrError::TimedOut { .. } => {
            Some("is the host up, and does a firewall let this port through?".to_owned())
        }
        _ => None,
    })
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        let hint = hint_of_dial(&error).unwrap_or_else(|| TRY_ANOTHER.to_owned());
        Self::with_code(UNREACHABLE, format!("cannot connect: {error}")).hint(hint)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Dial(error) => error.into(),
            error => Self::with_code(UNREACHABLE, error.to_string())
                .hint("the peer is there but does not serve this"),
        }
    }
}

impl From<PingError> for Failure {
    fn from(error: PingError) -> Self {
        match error {
            PingError::Open(error) => error.into(),
            error => Self::with_code(UNREACHABLE, format!("ping: {error}"))
                .hint("the peer is there but does not answer pings"),
        }
    }
}

impl From<PerfError> for Failure {
    fn from(error: PerfError) -> Self {
        let failure = match error {
            PerfError::Open(OpenError::Dial(error)) => return error.into(),
            error => Self::with_code(UNREACHABLE, format!("perf: {error}")),
        };
        failure.hint("does the peer serve /perf/1.0.0? `bowline serve --perf` does")
    }
}

impl From<IdentifyError> for Failure {
    fn from(error: IdentifyError) -> Self {
        Self::with_code(UNREACHABLE, format!("identify: {error}"))
            .hint("the peer is there but does not say who it is")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_a_place_that_may_not_be_written_is_asked_for_permission() {
        // The numbers of Linux: EACCES, EROFS, EMFILE, ENFILE, ENOSPC, EFBIG, ENOTDIR, ENAMETOOLONG, EEXIST, EIO.
        let hints = [13, 30, 24, 23, 28, 27, 20, 36, 17, 5].map(|code| {
            let error = io::Error::from_raw_os_error(code);
            hint_of_writing(error.kind(), &error.to_string())
        });
        let asked = hints.iter().filter(|hint| hint.contains("may this user")).count();
        assert_eq!((hints[0], hints[1], asked), (hints[1], hints[0], 2));
        assert!(hints[2].contains("ulimit -n") && hints[3] == hints[2], "{hints:?}");
        for (hint, word) in hints[4..].iter().zip(["room", "length", "is a file", "name", "case", "disk"]) {
            assert!(hint.contains(word), "{hint}: {word}");
        }
    }
}
