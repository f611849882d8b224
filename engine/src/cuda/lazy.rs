//! The driver's functions, found when a program runs.
//!
//! A binary that is linked with `libcuda.so.1` does not start where there is no driver. So every
//! function that `cust` calls is defined here as a jump through a slot. The slots lead to a
//! function that answers "no device" until [`load`] has found the library and filled them.
//!
//! The jump leaves all registers and the stack as they are, so the signature does not matter.

#![expect(
    unsafe_code,
    reason = "defines and finds functions of a foreign library"
)]

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// `CUDA_ERROR_NO_DEVICE`.
const NO_DEVICE: c_int = 100;

extern "C" fn no_device() -> c_int {
    NO_DEVICE
}

/// A function of the driver: its name, where its slot is, and the jump, which is named here so
/// that the linker takes it along.
struct Function {
    name: &'static CStr,
    slot: &'static AtomicPtr<c_void>,
    jump: unsafe extern "C" fn(),
}

macro_rules! driver_functions {
    ($($name:ident)*) => {
        #[expect(non_upper_case_globals, reason = "slots have the functions' names")]
        mod slots {
            use super::{AtomicPtr, c_void, no_device};
            $(
                pub(super) static $name: AtomicPtr<c_void> =
                    AtomicPtr::new(no_device as *mut c_void);
            )*
        }
        mod jumps {
            use super::slots;
            $(
                // SAFETY: no other symbol of this name is linked, `libcuda.so` being empty. The
                // body is one jump to a function of the caller's signature, or to `no_device`,
                // which reads no argument.
                #[unsafe(naked)]
                #[unsafe(no_mangle)]
                pub(super) unsafe extern "C" fn $name() {
                    std::arch::naked_asm!("jmp [rip + {slot}]", slot = sym slots::$name)
                }
            )*
        }

        const FUNCTIONS: &[Function] = &[
            $(Function {
                name: match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a name without an end"),
                },
                slot: &slots::$name,
                jump: jumps::$name,
            }),*
        ];
    };
}

include!(concat!(env!("OUT_DIR"), "/functions.rs"));

/// Finds the driver's library, once, and fills the slots with what it has.
///
/// # Errors
/// Why the library cannot be used.
pub(crate) fn load() -> Result<(), String> {
    static LIBRARY: OnceLock<Result<libloading::Library, String>> = OnceLock::new();
    let library = LIBRARY.get_or_init(open).as_ref();
    library.map(|_| ()).map_err(Clone::clone)
}

fn open() -> Result<libloading::Library, String> {
    const NAME: &str = "libcuda.so.1";
    // SAFETY: the driver's library may be loaded into any process.
    let library = unsafe { libloading::Library::new(NAME) };
    let library = library.map_err(|_| format!("{NAME} not found"))?;
    for function in FUNCTIONS {
        // The jump is read so that it is linked.
        std::hint::black_box(function.jump);
        // SAFETY: the symbol is only stored; `cust` declares its signature.
        let symbol = unsafe { library.get::<*mut c_void>(function.name.to_bytes_with_nul()) };
        if let Ok(symbol) = symbol {
            // SAFETY: the library is never closed, so the address stays good.
            let address = unsafe { symbol.into_raw().into_raw() };
            function.slot.store(address, Ordering::Release);
        }
    }
    probe()?;
    Ok(library)
}

/// Asks the driver for a device by plain integers: `cust` declares its answers as an enum of the
/// codes of CUDA 11.4, and a newer driver may refuse with another.
fn probe() -> Result<(), String> {
    let slot = |name: &CStr| {
        let function = FUNCTIONS.iter().find(|function| function.name == name);
        function.map_or(std::ptr::null_mut(), |function| {
            function.slot.load(Ordering::Acquire)
        })
    };
    type Init = unsafe extern "C" fn(flags: u32) -> c_int;
    type Count = unsafe extern "C" fn(count: *mut c_int) -> c_int;
    // SAFETY: the slots hold these functions of the driver, or `no_device`.
    let (init, count) = unsafe {
        (
            std::mem::transmute::<*mut c_void, Init>(slot(c"cuInit")),
            std::mem::transmute::<*mut c_void, Count>(slot(c"cuDeviceGetCount")),
        )
    };
    let mut devices = 0;
    // SAFETY: as the driver's documentation says; `devices` outlives the call.
    let code = unsafe {
        match init(0) {
            0 => count(&raw mut devices),
            code => code,
        }
    };
    match (code, devices) {
        (0, 1..) => Ok(()),
        (0, _) | (NO_DEVICE, _) => Err("the driver sees no device".to_owned()),
        (code, _) => Err(format!("the driver refuses with code {code}")),
    }
}
