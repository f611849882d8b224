//! `exact-worker [BITS]`: see [`engine_worker::exact`].
#![forbid(unsafe_code)]

use std::io;

fn main() -> io::Result<()> {
    let kept = std::env::args().nth(1).map(|bits| bits.parse());
    let kept = kept
        .transpose()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    engine_worker::exact::serve(kept)
}
