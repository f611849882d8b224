//! With the feature `cuda`: satisfies the linker's wish for `libcuda` without a CUDA installation.
//!
//! `cust` has the linker look for `-lcuda`. On `x86_64` it finds a linker script without content,
//! and the driver's functions in `src/cuda/lazy.rs`, which loads the driver when the program runs;
//! so one binary starts everywhere. Elsewhere it finds a stub of the driver, as CUDA itself ships
//! one: such a binary starts only where the driver is installed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const FUNCTIONS: &str = "cuda-link/functions.txt";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={FUNCTIONS}");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let text = fs::read_to_string(FUNCTIONS)?;
    let names: Vec<&str> = text.lines().collect();
    let list = format!("driver_functions! {{ {} }}\n", names.join(" "));
    fs::write(out.join("functions.rs"), list)?;
    let library = out.join("libcuda.so");
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        fs::write(library, "/* The driver is loaded at run time. */\n")?;
    } else {
        stub(&out, &library, &names)?;
    }
    println!("cargo:rustc-link-search=native={}", out.display());
    Ok(())
}

/// A shared object with the driver's names and none of its functions: 34 is
/// `CUDA_ERROR_STUB_LIBRARY`.
fn stub(out: &Path, library: &Path, names: &[&str]) -> io::Result<()> {
    let mut source = String::new();
    for name in names {
        if writeln!(source, "int {name}(void) {{ return 34; }}").is_err() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
    }
    let file = out.join("stub.c");
    fs::write(&file, source)?;
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let status = std::process::Command::new(compiler)
        .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"])
        .arg(library)
        .arg(file)
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other("the stub of libcuda does not compile"))
}
