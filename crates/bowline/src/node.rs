//! A whole peer: host, exchange and store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bowline_bitswap::Sources;
use bowline_block::Cid;
use bowline_blockstore::{BlockStore, MemoryStore, OpenOptions, Repository, StoreError};
use bowline_exchange::{
    Exchange, ExchangeConfig,
    files::{self, AddError, AddOptions, Added, GetError, GetOptions, Got, Source},
};
use bowline_identity::{Keypair, Multiaddr, PeerId, key_file};
use bowline_swarm::{AcceptError, Config, Host, ShutdownReport};

/// A peer that keeps blocks, serves them and fetches them. A cheap handle; clones are the same peer.
#[derive(Clone, Debug)]
pub struct Node {
    host: Host,
    exchange: Exchange,
    repository: Option<Arc<Repository>>,
}

/// What is set before a node starts.
#[derive(Debug, Default)]
pub struct Builder {
    folder: Option<PathBuf>,
    repository: Option<Repository>,
    keypair: Option<Keypair>,
    listen: Vec<Multiaddr>,
    config: Config,
    exchange: ExchangeConfig,
}

/// Why a node did not start.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key in the store cannot be read or written.
    #[error(transparent)]
    Key(#[from] key_file::KeyFileError),
    /// The host cannot start.
    #[error(transparent)]
    Host(#[from] bowline_swarm::StartError),
    /// Something on the host speaks Bitswap already.
    #[error(transparent)]
    Exchange(#[from] AcceptError),
}

impl Builder {
    /// Keeps blocks, roots and the node's key in a folder, which is made when it is not there. The default keeps
    /// them in memory.
    #[must_use]
    pub fn store(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Keeps everything in a repository that is open already.
    #[must_use]
    pub fn repository(mut self, repository: Repository) -> Self {
        self.repository = Some(repository);
        self
    }

    /// Sets who the node is. The default is the key of its store, and a fresh one without a store.
    #[must_use]
    pub fn keypair(mut self, keypair: Keypair) -> Self {
        self.keypair = Some(keypair);
        self
    }

    /// Adds an address to listen on; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, addr: Multiaddr) -> Self {
        self.listen.push(addr);
        self
    }

    /// Sets the host's numbers and texts.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets how blocks are served and fetched.
    #[must_use]
    pub fn exchange(mut self, config: ExchangeConfig) -> Self {
        self.exchange = config;
        self
    }

    /// Starts the node on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// When the store is in use or damaged, or an address cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<Node, StartError> {
        let repository = match (self.repository, self.folder) {
            (Some(repository), _) => Some(repository),
            (None, Some(folder)) => Some(Repository::open(folder, OpenOptions::default())?),
            (None, None) => None,
        };
        let keypair = match (self.keypair, &repository) {
            (Some(keypair), _) => keypair,
            (None, Some(repository)) => key_of(repository)?,
            (None, None) => Keypair::generate(),
        };
        let store = match &repository {
            Some(repository) => repository.blocks(),
            None => Arc::new(MemoryStore::new()),
        };
        let mut host = Host::builder(keypair).config(self.config);
        for addr in self.listen {
            host = host.listen(addr);
        }
        let host = host.start().await?;
        let exchange = Exchange::start(&host, store, self.exchange)?;
        Ok(Node { host, exchange, repository: repository.map(Arc::new) })
    }
}

/// The key of a repository, which is made when there is none.
///
/// # Errors
///
/// When the key file cannot be read or written.
pub(crate) fn key_of(repository: &Repository) -> Result<Keypair, key_file::KeyFileError> {
    let path = repository.key_path();
    if path.exists() {
        return key_file::read(&path);
    }
    let keypair = Keypair::generate();
    key_file::write(&path, &keypair)?;
    Ok(keypair)
}

impl Node {
    /// Begins to build a node.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The id of this node.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.host.peer_id()
    }

    /// The addresses that the node listens on now, without `/p2p`.
    #[must_use]
    pub fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.host.listen_addrs().borrow().clone()
    }

    /// Connections, streams and protocols.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Bitswap.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The blocks that the node keeps and serves.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn BlockStore> {
        self.exchange.store()
    }

    /// The repository on disk, for a node that has one.
    #[must_use]
    pub fn repository(&self) -> Option<&Arc<Repository>> {
        self.repository.as_ref()
    }

    /// Adds a file or a directory with the default settings.
    ///
    /// # Errors
    ///
    /// When something cannot be read or the store refuses.
    ///
    /// # Cancel safety
    ///
    /// As [`files::add`].
    pub async fn add(&self, path: impl AsRef<Path>) -> Result<Added, AddError> {
        self.add_with(path, AddOptions::default()).await
    }

    /// Adds a file or a directory. Peers that wait for its blocks are served.
    ///
    /// # Errors
    ///
    /// When something cannot be read or the store refuses.
    ///
    /// # Cancel safety
    ///
    /// As [`files::add`].
    pub async fn add_with(&self, path: impl AsRef<Path>, options: AddOptions) -> Result<Added, AddError> {
        let options = AddOptions { exchange: Some(self.exchange.clone()), ..options };
        files::add(self.store(), path.as_ref(), &options).await
    }

    /// Gets what is below `root` from the store and from every connected peer, keeps its blocks, and writes it to
    /// `path`.
    ///
    /// # Errors
    ///
    /// When a block is not to be had; nothing stands under `path` then.
    ///
    /// # Cancel safety
    ///
    /// As [`files::get`].
    pub async fn get(&self, root: Cid, path: impl AsRef<Path>) -> Result<Got, GetError> {
        self.get_with(root, path, &GetOptions::default()).await
    }

    /// Gets as [`get`](Self::get), with options.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// As [`files::get`].
    pub async fn get_with(
        &self,
        root: Cid,
        path: impl AsRef<Path>,
        options: &GetOptions,
    ) -> Result<Got, GetError> {
        let source = Source::network(&self.exchange, Sources::Any, Some(Arc::clone(self.store())));
        files::get(&source, root, path.as_ref(), options).await
    }

    /// Stops in good order; see [`Host::shutdown`].
    ///
    /// # Cancel safety
    ///
    /// As [`Host::shutdown`].
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        self.host.shutdown(grace).await
    }
}
