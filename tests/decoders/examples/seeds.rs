//! Writes every decoder's seeds to `FOLDER/NAME`, where libFuzzer starts from them.
//!
//! `cargo run -p tests-decoders --example seeds -- tests/fuzz/corpus`

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let Some(folder) = env::args().nth(1) else {
        return Err(io::Error::other("name the folder to write to"));
    };
    for decoder in tests_decoders::ALL {
        let folder = Path::new(&folder).join(decoder.name);
        fs::create_dir_all(&folder)?;
        for (index, seed) in (decoder.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{index:02}")), seed)?;
        }
    }
    Ok(())
}
