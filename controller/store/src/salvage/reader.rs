//! The damaged file: its pages, and the trees that its schema names.

use std::ops::ControlFlow;
use std::path::Path;

use super::cells::Keys;
use super::pages::Pages;
use super::walk::{Claim, Losses, Sink, Walk};
use super::{Beyond, Seen};

/// A table, an index or a trigger, as the schema has it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub kind: String,
    pub name: String,
    /// The first page of its tree; 0 without one.
    pub root: u32,
    pub sql: Option<String>,
}

/// The damaged file.
pub(super) struct Reader {
    pub pages: Pages,
    seen: Seen,
    pub objects: Vec<Object>,
    /// The newest migration that it says was applied, if it can be read.
    pub migration: Option<i64>,
}

impl Reader {
    /// Opens the file and reads its schema.
    pub(super) fn open(path: &Path) -> Result<Self, Beyond> {
        let pages = Pages::open(path)?;
        let mut reader = Self {
            seen: Seen::of(pages.count()),
            pages,
            objects: Vec::new(),
            migration: None,
        };
        reader.read_schema()?;
        reader.migration = reader.newest_migration();
        Ok(reader)
    }

    /// The first page of that object's tree.
    pub(super) fn root(&self, kind: &str, name: &str) -> Option<u32> {
        let mut objects = self.objects.iter();
        objects
            .find(|object| object.kind == kind && object.name == name)
            .map(|object| object.root)
            .filter(|root| *root > 0)
    }

    /// Hands every row of a tree to `sink`, but those of pages that the pointer map gives to another tree: answers the claims to
    /// them, for [`Reader::walk_disputed`].
    pub(super) fn walk(&mut self, root: u32, keys: Keys, sink: Sink<'_>) -> (Losses, Vec<Claim>) {
        Walk::new(&mut self.pages, &mut self.seen, keys).run(vec![Claim::root(root)], sink)
    }

    /// The same below pages that no other tree has taken meanwhile.
    pub(super) fn walk_disputed(
        &mut self,
        claims: Vec<Claim>,
        keys: Keys,
        sink: Sink<'_>,
    ) -> Losses {
        let walk = Walk::new(&mut self.pages, &mut self.seen, keys).believing();
        walk.run(claims, sink).0
    }

    fn read_schema(&mut self) -> Result<(), Beyond> {
        let mut objects = Vec::new();
        let (losses, disputed) = self.walk(1, Keys::Rowid, &mut |row| {
            if let [kind, name, _, root, sql] = row.values.as_slice() {
                objects.push(Object {
                    kind: kind.text().unwrap_or_default().to_owned(),
                    name: name.text().unwrap_or_default().to_owned(),
                    root: root
                        .integer()
                        .and_then(|root| u32::try_from(root).ok())
                        .unwrap_or_default(),
                    sql: sql.text().map(str::to_owned),
                });
            }
            ControlFlow::Continue(())
        });
        if !losses.is_nothing() || !disputed.is_empty() || objects.is_empty() {
            return Err(Beyond::Schema);
        }
        self.objects = objects;
        Ok(())
    }

    fn newest_migration(&mut self) -> Option<i64> {
        let root = self.root("table", "_sqlx_migrations")?;
        let mut newest = None;
        let (losses, _) = self.walk(root, Keys::Rowid, &mut |row| {
            newest = newest.max(row.values.first().and_then(|version| version.integer()));
            ControlFlow::Continue(())
        });
        newest.filter(|_| losses.is_nothing())
    }
}
