//! Up to which height a validator says nothing, because it lost blocks that it had signed after.
//!
//! What it knew of the last height that it signed in went with them: what it is locked on, what it
//! had heard. Its signing history keeps it from contradicting itself, not from wanting to. So it
//! waits for what was decided up to there, and a file keeps that in mind while the node catches up.

use protocol::Height;
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

/// The last mute height of a home whose next block has height `next` and whose key signed up to
/// `signed`; zero if there is none. On the disk when this returns.
pub(super) fn mute_until(home: &Path, next: Height, signed: Height) -> io::Result<Height> {
    let path = home.join("mute-until");
    let known = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map(Height::new).map_err(|_| {
            let reason = format!("{} does not hold a height", path.display());
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Height::ZERO,
        Err(error) => return Err(error),
    };
    if next >= signed || known >= signed {
        return Ok(known);
    }
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    writeln!(file, "{signed}")?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    fs::File::open(home)?.sync_all()?;
    Ok(signed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn lost_blocks_make_mute_until_what_was_signed_is_passed() {
        let home = tempfile::tempdir().unwrap();
        let at = |next, signed| {
            let (next, signed) = (Height::new(next), Height::new(signed));
            mute_until(home.path(), next, signed).unwrap().get()
        };
        assert_eq!(at(1, 0), 0, "a new validator");
        assert_eq!(at(9, 9), 0, "one that was restarted");
        assert_eq!(at(1, 9), 9, "one whose blocks are lost");
        assert_eq!(at(9, 9), 9, "and is restarted where it had signed");
        assert_eq!(at(12, 15), 15, "and lost some again");
        fs::write(home.path().join("mute-until"), "soon").unwrap();
        assert!(mute_until(home.path(), Height::new(1), Height::new(1)).is_err());
    }
}
