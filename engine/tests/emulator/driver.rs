//! The kernels on the host: the same source, compiled by g++, behind the engine's `Driver`.
//!
//! Memory of this device is filled with a NaN when it is given out, and has a margin on both sides
//! that is checked when it is given back, so that a kernel that reads what nobody wrote, or writes
//! beside its arrays, is found.

#![expect(unsafe_code, reason = "calls the compiled kernels")]

use engine::cuda::{Address, Driver, DriverError, Launch};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

type LaunchFunction =
    unsafe extern "C" fn(*const c_char, *const c_uint, c_uint, *const u64, usize, c_int) -> c_int;

/// In which order the threads of a block, and the blocks of a grid, take their turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Upwards,
    Downwards,
}

/// A device whose processor is the host's.
#[derive(Debug)]
pub(crate) struct Emulator {
    library: &'static libloading::Library,
    order: Order,
    memory_bytes: u64,
    memory: Mutex<HashMap<Address, Vec<u8>>>,
}

const MARGIN_BYTES: usize = 256;
const MARGIN: u8 = 0xa5;
const FRESH: u8 = 0xff;

impl Emulator {
    /// The device; compiles the kernels when that has not been done.
    ///
    /// It says that it has `memory_bytes`; how work is cut into passes follows from that.
    pub(crate) fn new(order: Order, memory_bytes: u64) -> Arc<Self> {
        static LIBRARY: OnceLock<libloading::Library> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| {
            let path = compile("emulator.cpp");
            // SAFETY: the library has no constructors; its source is in this repository.
            unsafe { libloading::Library::new(&path) }.unwrap()
        });
        Arc::new(Self {
            library,
            order,
            memory_bytes,
            memory: Mutex::default(),
        })
    }
}

/// Compiles the kernels with one of the programs of this folder into a shared object, once.
pub(crate) fn compile(program: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kernels = root.join("src/cuda/kernels");
    let emulator = root.join("tests/emulator");
    let mut hasher = blake3::Hasher::new();
    for folder in [&kernels, &emulator] {
        let mut files: Vec<_> = folder
            .read_dir()
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            hasher.update(&std::fs::read(file).unwrap());
        }
    }
    let flags = processor_flags();
    hasher.update(flags.concat().as_bytes());
    hasher.update(program.as_bytes());
    let hash = hasher.finalize().to_hex();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let library = folder.join(format!("kernels-{}.so", &hash[..16]));
    if library.exists() {
        return library;
    }
    // Other test programs may be doing the same: each writes its own file, and the last name wins.
    let own = folder.join(format!("{program}-{}", std::process::id()));
    std::fs::create_dir_all(&own).unwrap();
    let names = own.join("names.inc");
    std::fs::write(&names, kernel_names(&kernels)).unwrap();
    let output = Command::new(std::env::var("CXX").unwrap_or_else(|_| "g++".to_owned()))
        .args([
            "-std=c++17",
            "-O3",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            "-Wall",
            "-Werror",
        ])
        .args(flags)
        .arg(format!(
            "-DKERNELS=\"{}\"",
            kernels.join("kernels.cu").display()
        ))
        .arg(format!("-DKERNEL_NAMES=\"{}\"", names.display()))
        .arg(format!("-I{}", emulator.display()))
        .arg("-o")
        .arg(own.join("kernels.so"))
        .arg(emulator.join(program))
        .output()
        .expect("a C++ compiler (g++) runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(own.join("kernels.so"), &library).unwrap();
    std::fs::remove_dir_all(&own).unwrap();
    library
}

/// Fused multiply-adds as instructions where the processor has them; else the C library's.
fn processor_flags() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return vec!["-mavx2", "-mfma"];
    }
    Vec::new()
}

/// `NAMED(kernel)` for every kernel; the names are those of the PTX.
fn kernel_names(kernels: &Path) -> String {
    let ptx = std::fs::read_to_string(kernels.join("kernels.ptx")).unwrap();
    let names = ptx
        .lines()
        .filter_map(|line| line.strip_prefix(".visible .entry "));
    names
        .map(|name| format!("NAMED({})\n", name.trim_end_matches('(')))
        .collect()
}

fn error(operation: &'static str, reason: &str) -> DriverError {
    DriverError {
        operation,
        reason: reason.to_owned(),
    }
}

impl Driver for Emulator {
    fn name(&self) -> String {
        "emulator".to_owned()
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn processor_count(&self) -> usize {
        1
    }

    fn clock_hertz(&self) -> u64 {
        0
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DriverError> {
        let mut block = vec![MARGIN; bytes + 2 * MARGIN_BYTES + 255];
        let start = block.as_ptr().align_offset(256) + MARGIN_BYTES;
        block[start..start + bytes].fill(FRESH);
        let address = block.as_ptr() as u64 + start as u64;
        block.truncate(start + bytes + MARGIN_BYTES);
        self.memory.lock().unwrap().insert(address, block);
        Ok(address)
    }

    fn free(&self, address: Address) {
        let block = self.memory.lock().unwrap().remove(&address).unwrap();
        let start = usize::try_from(address - block.as_ptr() as u64).unwrap();
        let (before, after) = (&block[..start], &block[block.len() - MARGIN_BYTES..]);
        let intact = before.iter().chain(after).all(|&byte| byte == MARGIN);
        assert!(
            intact || std::thread::panicking(),
            "written beside an array"
        );
    }

    fn upload(&self, to: Address, from: &[u8]) -> Result<(), DriverError> {
        // SAFETY: the callers keep inside what they have allocated.
        unsafe { std::ptr::copy(from.as_ptr(), to as *mut u8, from.len()) };
        Ok(())
    }

    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), DriverError> {
        // SAFETY: the callers keep inside what they have allocated.
        unsafe { std::ptr::copy(from as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DriverError> {
        // SAFETY: the callers keep inside what they have allocated.
        unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    fn clear(&self, address: Address, bytes: usize) -> Result<(), DriverError> {
        // SAFETY: the callers keep inside what they have allocated.
        unsafe { std::ptr::write_bytes(address as *mut u8, 0, bytes) };
        Ok(())
    }

    fn launch(&self, launch: Launch<'_>) -> Result<(), DriverError> {
        let name = CString::new(launch.kernel).unwrap();
        // SAFETY: the symbol has this signature; the callers pass addresses of their own arrays.
        let code = unsafe {
            let function: libloading::Symbol<'_, LaunchFunction> =
                self.library.get(b"emulator_launch").unwrap();
            function(
                name.as_ptr(),
                launch.grid.as_ptr(),
                launch.threads,
                launch.arguments.as_ptr(),
                launch.arguments.len(),
                c_int::from(self.order == Order::Downwards),
            )
        };
        match code {
            0 => Ok(()),
            1 => Err(error("launch a kernel", "no kernel of that name")),
            _ => Err(error("launch a kernel", "another number of arguments")),
        }
    }

    fn synchronize(&self) -> Result<(), DriverError> {
        Ok(())
    }
}
