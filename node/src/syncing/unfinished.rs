//! A store that a state is fetched into, beside the one that is used.
//!
//! What is proven is written there at once, piece by piece, each on the disk as a whole before the
//! next. A node that ends in the middle, by a kill, a lost link or a full disk, finds there what it
//! had and goes on, if the pieces are of the state that it still fetches; all that it has is read
//! first, and if anything is damaged, or of another state, it begins anew. Nothing runs on this
//! folder: it becomes the node's store by one renaming, after the store itself took the state for
//! whole ([`Store::restore`]).

use crate::home::Home;
use anyhow::{Context as _, Result, ensure};
use ledger_store::{Begun, Choice, Store, StoreError};
use protocol::{
    Height, StateRoot,
    codec::{decode, encode},
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Which state is fetched, and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The block that led to it.
    pub height: Height,
    /// There are 2 to the power of this many pieces.
    pub depth: u32,
    /// The root of the state, which binds every piece.
    pub root: StateRoot,
}

impl Plan {
    fn to_bytes(self) -> Vec<u8> {
        let Self {
            height,
            depth,
            root,
        } = self;
        encode(&(height, depth, root))
    }
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (height, depth, root) = decode("plan", bytes, 64)?;
        Ok(Self {
            height,
            depth,
            root,
        })
    }
}

/// The folder, and what is in it.
#[derive(Debug)]
pub struct Unfinished {
    home: PathBuf,
    choice: Choice,
    store: Option<Arc<dyn Store>>,
    /// What its pieces are of, and those that are there.
    begun: Option<(Plan, BTreeSet<u32>)>,
}

impl Unfinished {
    /// Of a home, with the database that its configuration names.
    ///
    /// # Errors
    /// When the configuration names none that there is.
    pub fn of(home: &Home) -> Result<Self> {
        let name = home.config().map(|config| config.store).unwrap_or_default();
        let choice = match name.as_str() {
            "" => Choice::default(),
            name => name.parse()?,
        };
        Ok(Self::in_folder(home.path().to_path_buf(), choice))
    }
    /// In this folder, kept by this database.
    #[must_use]
    pub const fn in_folder(home: PathBuf, choice: Choice) -> Self {
        Self {
            home,
            choice,
            store: None,
            begun: None,
        }
    }
    fn path(&self) -> PathBuf {
        self.home.join("store.unfinished")
    }
    /// What is there already, all of it read: gone if it is damaged, or kept by another database.
    ///
    /// # Errors
    /// When another process has it open, or it cannot be removed.
    pub fn found(&mut self) -> Result<Option<Arc<dyn Store>>> {
        if Choice::found_in(&self.path()) != Some(self.choice) {
            self.remove()?;
            return Ok(None);
        }
        let opened = self.choice.open(&self.path());
        let read = opened.and_then(|store| {
            // One of both is all that there is to read.
            store.check()?;
            Ok((store.begun()?, store))
        });
        match read {
            Ok((begun, store)) => {
                let plan = |Begun { plan, parts }| Some((Plan::from_bytes(&plan).ok()?, parts));
                self.begun = begun.and_then(plan);
                self.store = Some(store);
            }
            Err(error @ StoreError::Locked { .. }) => return Err(error.into()),
            Err(error) => {
                tracing::warn!("what was fetched earlier is fetched anew: {error}");
                self.remove()?;
            }
        }
        Ok(self.store.clone())
    }
    /// What was begun last.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        self.begun.as_ref().map(|(plan, _)| *plan)
    }
    /// A store for the pieces of a plan, and those that it has: the one that is there if it is for
    /// the same, else an empty one.
    ///
    /// # Errors
    /// When it cannot be removed or made.
    pub fn take_on(&mut self, plan: &Plan) -> Result<(Arc<dyn Store>, BTreeSet<u32>)> {
        if let (Some((begun, parts)), Some(store)) = (&self.begun, &self.store)
            && begun == plan
        {
            return Ok((Arc::clone(store), parts.clone()));
        }
        self.remove()?;
        let store = self.choice.open(&self.path())?;
        store.begin(&plan.to_bytes())?;
        self.store = Some(Arc::clone(&store));
        self.begun = Some((*plan, BTreeSet::new()));
        Ok((store, BTreeSet::new()))
    }
    /// Remembers that these pieces are there too.
    pub fn note(&mut self, pieces: impl IntoIterator<Item = u32>) {
        if let Some((_, parts)) = &mut self.begun {
            parts.extend(pieces);
        }
    }
    fn remove(&mut self) -> Result<()> {
        (self.store, self.begun) = (None, None);
        let path = self.path();
        if path.exists() {
            fs::remove_dir_all(&path).context("cannot remove what is left of an earlier try")?;
        }
        Ok(())
    }
    /// Makes the whole store the one that is used.
    ///
    /// # Errors
    /// When there is one already, or this one is not whole.
    pub fn place(mut self) -> Result<()> {
        let (from, to) = (self.path(), self.home.join("store"));
        let store = self.store.take().context("there is no store")?;
        ensure!(store.tip()?.is_some(), "the store has no state yet");
        drop(store);
        sync_folder(&from)?;
        fs::rename(&from, &to).with_context(|| format!("cannot place {}", to.display()))?;
        sync_folder(&self.home)
    }
}

/// Says that there is room on the disk that nothing uses, if an earlier state sync left something
/// and the node begins without one.
pub(super) fn warn(home: &Home) {
    let path = Unfinished::in_folder(home.path().to_path_buf(), Choice::default()).path();
    if path.exists() {
        tracing::warn!(
            "{} is what an earlier --state-sync fetched; it goes on with that option, and can be \
             removed without",
            path.display()
        );
    }
}

/// Has the names in a folder on the disk.
fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("cannot write {}", path.display()))
}
