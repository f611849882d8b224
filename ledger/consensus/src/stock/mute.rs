//! Up to which height a validator says nothing, because it lost what it knew when it signed there.
//!
//! Its signing history keeps it from contradicting itself, not from wanting to: without its blocks,
//! or the end of its log, it would want something else at every start, be refused, stop, and never
//! hear what was decided. So it waits for that, without its log, and a file keeps it in mind.

use protocol::Height;
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

/// The last mute height of a home whose next block has height `next` and whose key signed up to
/// `signed`; zero if there is none. On the disk when this returns.
fn mute_until(home: &Path, next: Height, signed: Height) -> io::Result<Height> {
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
    write(home, signed)?;
    Ok(signed)
}

/// Makes the validator of this home mute up to a height in which it was refused a signature.
pub(super) fn mute_after_refusal(home: &Path, height: Height) -> io::Result<()> {
    let known = mute_until(home, height, Height::ZERO)?;
    write(home, known.max(height))
}

fn write(home: &Path, until: Height) -> io::Result<()> {
    let path = home.join("mute-until");
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    writeln!(file, "{until}")?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    fs::File::open(home)?.sync_all()
}

/// What a start does: it finds out up to where the validator is mute, and there drops a log that
/// led, or would lead, to what is refused.
pub(super) fn begin(home: &Path, log: &Path, next: Height, signed: Height) -> io::Result<Height> {
    let until = mute_until(home, next, signed)?;
    if next <= until && log.exists() {
        fs::remove_file(log)?;
    }
    Ok(until)
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
        mute_after_refusal(home.path(), Height::new(20)).unwrap();
        assert_eq!(at(20, 20), 20, "and was refused");
        fs::write(home.path().join("mute-until"), "soon").unwrap();
        assert!(mute_until(home.path(), Height::new(1), Height::new(1)).is_err());
    }
}
