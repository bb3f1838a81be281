//! The node: host, exchange and store as one.

use std::{
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bowline_block::Cid;
use bowline_blockstore::{BlockStore, MAX_NAME_LEN, MemoryStore, OpenOptions, Repository};
use bowline_exchange::{
    Exchange, ExchangeConfig,
    files::{self, AddOptions, Added, GetOptions, Got, Listed, OnProgress, Source},
};
use bowline_identity::{
    Keypair, Multiaddr, PeerId, address,
    key_file::{self, KeyFileError},
};
use bowline_swarm::{Config, Host, ShutdownReport};
use bowline_unixfs::Profile;
use tokio::{io::AsyncWrite, sync::Mutex};

use crate::{AddError, GetError, StartError, counted::Counted, from::with_peers};

/// An IPFS peer: a host, Bitswap on it, and a store of blocks.
///
/// A cheap handle; clones are the same node. When the last clone is dropped everything stops at once;
/// [`shutdown`](Self::shutdown) stops in good order.
#[derive(Clone)]
pub struct Node {
    host: Host,
    exchange: Exchange,
    store: Arc<dyn BlockStore>,
    repository: Option<Arc<Repository>>,
}

/// What is set before a node starts. The default is a store in memory, a fresh key, and no listening.
#[derive(Default)]
pub struct Builder {
    store: Store,
    keypair: Option<Keypair>,
    config: Config,
    exchange: ExchangeConfig,
    listen: Vec<Multiaddr>,
}

#[derive(Default)]
enum Store {
    #[default]
    Memory,
    Folder(PathBuf, OpenOptions),
    Blocks(Arc<dyn BlockStore>),
}

impl Builder {
    /// Keeps blocks in a folder, which is made on first use, together with the key of the node.
    #[must_use]
    pub fn store(self, folder: impl Into<PathBuf>) -> Self {
        self.store_with(folder, OpenOptions::default())
    }

    /// Keeps blocks in a folder that is opened with `options`.
    #[must_use]
    pub fn store_with(mut self, folder: impl Into<PathBuf>, options: OpenOptions) -> Self {
        self.store = Store::Folder(folder.into(), options);
        self
    }

    /// Keeps blocks in a store of yours. The key is a fresh one then, unless [`keypair`](Self::keypair) gives one.
    #[must_use]
    pub fn blocks(mut self, store: Arc<dyn BlockStore>) -> Self {
        self.store = Store::Blocks(store);
        self
    }

    /// Sets the key of the node, in place of the store's own or a fresh one.
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

    /// Sets what is configurable about the host.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets what is configurable about Bitswap.
    #[must_use]
    pub fn exchange(mut self, config: ExchangeConfig) -> Self {
        self.exchange = config;
        self
    }

    /// Starts the node on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// When the store does not open, its key cannot be read, or an address cannot be listened on; nothing is left
    /// running then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<Node, StartError> {
        let (repository, store) = match self.store {
            Store::Memory => (None, Arc::new(MemoryStore::new()) as Arc<dyn BlockStore>),
            Store::Blocks(store) => (None, store),
            Store::Folder(folder, options) => {
                let opened = self.exchange.off_load.run(move || Repository::open(folder, options)).await?;
                let repository = Arc::new(opened);
                (Some(Arc::clone(&repository)), repository.blocks())
            }
        };
        let keypair = match (self.keypair, &repository) {
            (Some(keypair), _) => keypair,
            (None, Some(repository)) => key_of(repository)?,
            (None, None) => Keypair::generate(),
        };
        let host = Host::builder(keypair).config(self.config).start().await?;
        // Before the first peer can come, so that nobody is told that Bitswap is not spoken here.
        let exchange = Exchange::start(&host, Arc::clone(&store), self.exchange)?;
        for addr in self.listen {
            host.listen(addr).await.map_err(bowline_swarm::StartError::from)?;
        }
        Ok(Node { host, exchange, store, repository })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl Node {
    /// Begins to build a node.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The id of the node.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.host.peer_id()
    }

    /// The host, for protocols of your own.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Bitswap on the host, for fetching single blocks.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The store of blocks. Whatever is in it is served.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn BlockStore> {
        &self.store
    }

    /// The folder of the store with its roots and values, where the store is one.
    #[must_use]
    pub fn repository(&self) -> Option<&Repository> {
        self.repository.as_deref()
    }

    /// The addresses that others can reach the node at, as far as it knows, each with `/p2p/…` at its end.
    #[must_use]
    pub fn addrs(&self) -> Vec<Multiaddr> {
        let addrs = self.host.listen_addrs().borrow().clone();
        addrs.into_iter().map(|addr| address::with_peer_id(addr, self.peer_id())).collect()
    }

    /// Adds a file, or a directory with all that is in it, and serves it from then on. The root is taken down in the
    /// store's list of roots.
    ///
    /// # Errors
    ///
    /// When something cannot be read or the store refuses.
    ///
    /// # Cancel safety
    ///
    /// Work that has begun runs to its end when the future is dropped; blocks that are stored stay stored.
    pub async fn add(&self, path: impl AsRef<Path>, profile: Profile) -> Result<Added, AddError> {
        self.add_with(path, profile, None).await
    }

    /// Adds as [`add`](Self::add), and tells how far it has come.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    ///
    /// # Cancel safety
    ///
    /// As [`add`](Self::add).
    pub async fn add_with(
        &self,
        path: impl AsRef<Path>,
        profile: Profile,
        on_progress: Option<OnProgress>,
    ) -> Result<Added, AddError> {
        let exchange = Some(self.exchange.clone());
        let options = AddOptions { profile, off_load: self.exchange.off_load(), on_progress, exchange };
        let added = files::add(&self.store, path.as_ref(), &options).await?;
        self.take_down(added.cid, added.name.clone()).await?;
        Ok(added)
    }

    /// Gets `cid` from the peers at `from` and writes it to `path`; without peers, from the store alone.
    ///
    /// Every block is verified and kept in the store. Nothing stands under `path` until it is whole; a second call
    /// goes on from what the store has.
    ///
    /// # Errors
    ///
    /// When no peer can be reached, a block is not to be had, or the file system refuses.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the same as an error: nothing under `path`, and the blocks so far in the store.
    pub async fn get(
        &self,
        cid: Cid,
        from: impl IntoIterator<Item = Multiaddr>,
        path: impl AsRef<Path>,
    ) -> Result<Got, GetError> {
        self.get_with(cid, from, path, &GetOptions::default()).await
    }

    /// Gets as [`get`](Self::get), with options.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// As [`get`](Self::get).
    pub async fn get_with(
        &self,
        cid: Cid,
        from: impl IntoIterator<Item = Multiaddr>,
        path: impl AsRef<Path>,
        options: &GetOptions,
    ) -> Result<Got, GetError> {
        let path = path.as_ref();
        let from: Vec<_> = from.into_iter().collect();
        let got = if from.is_empty() {
            files::get(&self.stored(), cid, path, options).await?
        } else {
            let get = |sources, gone| {
                let keep = Some(Arc::clone(&self.store));
                let source = Source::network(&self.exchange, sources, keep).until(gone);
                async move { files::get(&source, cid, path, options).await }
            };
            with_peers(&self.host, cid, from, get).await?
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        self.take_down(cid, name.unwrap_or_default()).await?;
        Ok(got)
    }

    /// Writes the content of the file `cid` to `out`, in order, from the peers at `from` or, without peers, from the
    /// store. Nothing is kept in the store, and memory is bounded.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and when `cid` is no file. What was written by then is right.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a prefix written.
    pub async fn cat(
        &self,
        cid: Cid,
        from: impl IntoIterator<Item = Multiaddr>,
        out: &mut (impl AsyncWrite + Unpin),
        options: &GetOptions,
    ) -> Result<u64, GetError> {
        let from: Vec<_> = from.into_iter().collect();
        if from.is_empty() {
            return Ok(files::cat(&self.stored(), cid, None, out, options).await?);
        }
        // One try follows the other, so nobody ever waits for the lock.
        let out = Mutex::new(Counted { out, written: 0 });
        let cat = |sources, gone| {
            let (source, out) = (Source::network(&self.exchange, sources, None).until(gone), &out);
            async move {
                let mut out = out.lock().await;
                // What an earlier try wrote stands.
                let rest = out.written..u64::MAX;
                files::cat(&source, cid, Some(rest), &mut *out, options).await
            }
        };
        with_peers(&self.host, cid, from, cat).await?;
        Ok(out.into_inner().written)
    }

    /// Lists the directory `cid`, from the peers at `from` or, without peers, from the store.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and when `cid` is no directory.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is left.
    pub async fn list(
        &self,
        cid: Cid,
        from: impl IntoIterator<Item = Multiaddr>,
        options: &GetOptions,
    ) -> Result<Vec<Listed>, GetError> {
        let mut entries = Vec::new();
        let collect = |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        };
        self.list_each(cid, from, options, collect).await?;
        Ok(entries)
    }

    /// Lists as [`list`](Self::list), and tells each entry as it comes, in order, until it is told to break off.
    /// Memory is bounded, however many entries there are.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list). Entries that were told by then are right.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is left.
    pub async fn list_each(
        &self,
        cid: Cid,
        from: impl IntoIterator<Item = Multiaddr>,
        options: &GetOptions,
        on_entry: impl FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), GetError> {
        let from: Vec<_> = from.into_iter().collect();
        if from.is_empty() {
            return Ok(files::list_each(&self.stored(), cid, options, on_entry).await?);
        }
        // One try follows the other, so nobody ever waits for the lock.
        let told = Mutex::new((0_usize, on_entry));
        let list = |sources, gone| {
            let (source, told) = (Source::network(&self.exchange, sources, None).until(gone), &told);
            async move {
                let mut told = told.lock().await;
                let (told, on_entry) = &mut *told;
                let mut seen = 0;
                let tell = |entry| {
                    seen += 1;
                    // What an earlier try told stands.
                    if seen <= *told {
                        return ControlFlow::Continue(());
                    }
                    *told = seen;
                    on_entry(entry)
                };
                files::list_each(&source, cid, options, tell).await
            }
        };
        with_peers(&self.host, cid, from, list).await
    }

    /// Stops in good order: application streams get `grace` to end, and connections say farewell.
    ///
    /// When it returns, the ports are free; the store is free when the last clone of the node and of
    /// [`store`](Self::store) is dropped.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: a dropped future leaves the node half stopped; dropping the node stops the rest.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let report = self.host.shutdown(grace).await;
        self.exchange.shutdown().await;
        report
    }

    fn stored(&self) -> Source {
        Source::local(Arc::clone(&self.store), self.exchange.off_load())
    }

    /// Takes a root down in the store's list, where it has one.
    async fn take_down(&self, cid: Cid, name: String) -> Result<(), bowline_blockstore::StoreError> {
        let Some(repository) = self.repository.clone() else { return Ok(()) };
        let name = shortened(name);
        self.exchange.off_load().run(move || repository.add_root(&cid, seconds_since_1970(), &name)).await
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("peer_id", &self.peer_id()).finish_non_exhaustive()
    }
}

/// The key of a repository; made when there is none.
fn key_of(repository: &Repository) -> Result<Keypair, KeyFileError> {
    let path = repository.key_path();
    match key_file::read(&path) {
        Err(KeyFileError::Io { kind: std::io::ErrorKind::NotFound, .. }) => {
            let keypair = Keypair::generate();
            key_file::write(&path, &keypair)?;
            Ok(keypair)
        }
        read => read,
    }
}

fn shortened(mut name: String) -> String {
    let end = (0..=MAX_NAME_LEN.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    name.truncate(end.unwrap_or(0));
    name
}

#[expect(clippy::disallowed_methods, reason = "roots carry the time of day, which nothing is decided by")]
fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
