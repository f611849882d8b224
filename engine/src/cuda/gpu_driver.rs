//! The driver of a real GPU, through `cust`.
//!
//! One context, the device's primary one, and its default stream: operations happen in the order
//! they are asked for, from any thread.

#![expect(unsafe_code, reason = "hands addresses and functions to the driver")]

use super::driver::{Address, Driver, DriverError, Launch};
use super::open::Unusable;
use cust::CudaFlags;
use cust::context::Context;
use cust::device::{Device, DeviceAttribute};
use cust::error::CudaError;
use cust::module::Module;
use cust::sys;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The kernels, for every GPU from Turing on.
const PTX: &str = include_str!("kernels/kernels.ptx");
/// The oldest compute capability that the PTX is for.
const CAPABILITY_MIN: (i32, i32) = (7, 5);

/// Blocks of memory up to this size are kept for the next use: training and decoding ask for many
/// small ones, and giving one back to the driver waits for the device.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A GPU.
pub(crate) struct GpuDriver {
    name: String,
    memory_bytes: u64,
    processor_count: usize,
    clock_hertz: u64,
    functions: HashMap<&'static str, Function>,
    pool: Mutex<Pool>,
    // In this order: the module goes before its context.
    _module: Module,
    context: Context,
}

/// A kernel's handle.
struct Function(sys::CUfunction);

/// Memory between two uses.
#[derive(Default)]
struct Pool {
    free: BTreeMap<usize, Vec<Address>>,
    /// The size of every small block that is in use.
    used: HashMap<Address, usize>,
}

// SAFETY: the driver's handles may be used from any thread in whose context they are; every
// operation sets the context first.
unsafe impl Send for GpuDriver {}
// SAFETY: as above; the pool is behind a lock.
unsafe impl Sync for GpuDriver {}

impl std::fmt::Debug for GpuDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GpuDriver")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// The errors' own texts are asked of the driver, which may not answer; their names are enough.
fn refused(error: CudaError) -> Unusable {
    Unusable::Driver {
        reason: format!("{error:?}"),
    }
}

/// The functions that run while a computation runs, with plain integers for answers: `cust`
/// declares an enum of the codes of CUDA 11.4, and a newer driver may answer with another, which
/// no enum may hold.
mod functions {
    use cust::sys::{CUcontext, CUfunction, CUstream};
    use std::ffi::{c_int, c_uint, c_void};

    unsafe extern "C" {
        pub(super) fn cuCtxSetCurrent(context: CUcontext) -> c_int;
        pub(super) fn cuCtxSynchronize() -> c_int;
        pub(super) fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> c_int;
        pub(super) fn cuMemFree_v2(address: u64) -> c_int;
        pub(super) fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> c_int;
        pub(super) fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> c_int;
        pub(super) fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> c_int;
        pub(super) fn cuMemsetD8_v2(address: u64, value: u8, count: usize) -> c_int;
        pub(super) fn cuLaunchKernel(
            function: CUfunction,
            blocks_x: c_uint,
            blocks_y: c_uint,
            blocks_z: c_uint,
            threads_x: c_uint,
            threads_y: c_uint,
            threads_z: c_uint,
            shared_bytes: c_uint,
            stream: CUstream,
            arguments: *mut *mut c_void,
            extra: *mut *mut c_void,
        ) -> c_int;
    }
}

/// The answer of one of them.
fn checked(operation: &'static str, code: c_int) -> Result<(), DriverError> {
    match code {
        0 => Ok(()),
        code => Err(DriverError {
            operation,
            reason: format!("CUDA error {code}"),
        }),
    }
}

impl GpuDriver {
    /// Opens a device of those that the driver shows.
    pub(crate) fn open(index: usize) -> Result<Self, Unusable> {
        #[cfg(target_arch = "x86_64")]
        super::lazy::load().map_err(|reason| Unusable::Driver { reason })?;
        cust::init(CudaFlags::empty()).map_err(refused)?;
        let ordinal = u32::try_from(index).unwrap_or(u32::MAX);
        let device = Device::get_device(ordinal).map_err(refused)?;
        let attribute = |attribute| device.get_attribute(attribute).map_err(refused);
        let capability = (
            attribute(DeviceAttribute::ComputeCapabilityMajor)?,
            attribute(DeviceAttribute::ComputeCapabilityMinor)?,
        );
        if capability < CAPABILITY_MIN {
            return Err(Unusable::Capability {
                index,
                found: capability,
                least: CAPABILITY_MIN,
            });
        }
        let context = Context::new(device).map_err(refused)?;
        let module = Module::from_ptx(PTX, &[]).map_err(refused)?;
        let mut functions = HashMap::new();
        for line in PTX.lines() {
            let Some(name) = line.strip_prefix(".visible .entry ") else {
                continue;
            };
            let name = name.trim_end_matches('(');
            let function = module.get_function(name).map_err(refused)?;
            functions.insert(name, Function(function.to_raw()));
        }
        let processors = attribute(DeviceAttribute::MultiprocessorCount)?;
        let kilohertz = attribute(DeviceAttribute::ClockRate)?;
        Ok(Self {
            name: device.name().map_err(refused)?,
            memory_bytes: device.total_memory().map_err(refused)? as u64,
            processor_count: usize::try_from(processors).unwrap_or(1),
            clock_hertz: u64::try_from(kilohertz).unwrap_or(0) * 1000,
            functions,
            pool: Mutex::default(),
            _module: module,
            context,
        })
    }

    /// Makes this thread's operations the device's.
    fn enter(&self, operation: &'static str) -> Result<(), DriverError> {
        // SAFETY: the context lives as long as `self`.
        checked(operation, unsafe {
            functions::cuCtxSetCurrent(self.context.as_raw())
        })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Driver for GpuDriver {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn processor_count(&self) -> usize {
        self.processor_count
    }

    fn clock_hertz(&self) -> u64 {
        self.clock_hertz
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DriverError> {
        const OPERATION: &str = "allocate memory";
        self.enter(OPERATION)?;
        let small = bytes <= KEPT_BYTES_MAX;
        let size = if small {
            bytes.next_power_of_two().max(512)
        } else {
            bytes
        };
        let mut pool = self.pool();
        let kept = if small {
            pool.free.get_mut(&size).and_then(Vec::pop)
        } else {
            None
        };
        let address = match kept {
            Some(address) => address,
            None => {
                let mut address = 0;
                // SAFETY: `address` outlives the call.
                let code = unsafe { functions::cuMemAlloc_v2(&raw mut address, size) };
                checked(OPERATION, code)?;
                address
            }
        };
        if small {
            pool.used.insert(address, size);
        }
        Ok(address)
    }

    fn free(&self, address: Address) {
        let mut pool = self.pool();
        if let Some(size) = pool.used.remove(&address) {
            // Whatever still runs was asked for before the next user's work.
            pool.free.entry(size).or_default().push(address);
            return;
        }
        drop(pool);
        if self.enter("free memory").is_ok() {
            // SAFETY: the address came from `allocate` and is given back once. A failure here is
            // an earlier one's, which the next operation reports.
            unsafe { functions::cuMemFree_v2(address) };
        }
    }

    fn upload(&self, to: Address, from: &[u8]) -> Result<(), DriverError> {
        const OPERATION: &str = "copy to the device";
        if from.is_empty() {
            return Ok(());
        }
        self.enter(OPERATION)?;
        // SAFETY: `from` is as long as it says; the callers keep inside what they have allocated.
        let code = unsafe { functions::cuMemcpyHtoD_v2(to, from.as_ptr().cast(), from.len()) };
        checked(OPERATION, code)
    }

    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), DriverError> {
        const OPERATION: &str = "copy from the device";
        if to.is_empty() {
            return Ok(());
        }
        self.enter(OPERATION)?;
        // SAFETY: `to` is as long as it says; the callers keep inside what they have allocated.
        let code = unsafe { functions::cuMemcpyDtoH_v2(to.as_mut_ptr().cast(), from, to.len()) };
        checked(OPERATION, code)
    }

    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DriverError> {
        const OPERATION: &str = "copy inside the device";
        if bytes == 0 {
            return Ok(());
        }
        self.enter(OPERATION)?;
        // SAFETY: the callers keep inside what they have allocated.
        let code = unsafe { functions::cuMemcpyDtoD_v2(to, from, bytes) };
        checked(OPERATION, code)
    }

    fn clear(&self, address: Address, bytes: usize) -> Result<(), DriverError> {
        const OPERATION: &str = "clear memory";
        if bytes == 0 {
            return Ok(());
        }
        self.enter(OPERATION)?;
        // SAFETY: the callers keep inside what they have allocated.
        let code = unsafe { functions::cuMemsetD8_v2(address, 0, bytes) };
        checked(OPERATION, code)
    }

    fn launch(&self, launch: Launch<'_>) -> Result<(), DriverError> {
        const OPERATION: &str = "launch a kernel";
        let Some(function) = self.functions.get(launch.kernel) else {
            return Err(DriverError {
                operation: OPERATION,
                reason: format!("there is no kernel {}", launch.kernel),
            });
        };
        self.enter(OPERATION)?;
        let word = |word: &u64| std::ptr::from_ref(word).cast_mut().cast::<c_void>();
        let mut arguments: Vec<*mut c_void> = launch.arguments.iter().map(word).collect();
        let [x, y, z] = launch.grid;
        // SAFETY: the kernel takes as many arguments of at most eight bytes each, which the tests
        // of the emulator check, and the words outlive the call.
        let code = unsafe {
            functions::cuLaunchKernel(
                function.0,
                x,
                y,
                z,
                launch.threads,
                1,
                1,
                0,
                std::ptr::null_mut(),
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        checked(OPERATION, code)
    }

    fn synchronize(&self) -> Result<(), DriverError> {
        const OPERATION: &str = "finish";
        self.enter(OPERATION)?;
        // SAFETY: the context is current.
        checked(OPERATION, unsafe { functions::cuCtxSynchronize() })
    }
}

impl Drop for GpuDriver {
    fn drop(&mut self) {
        if self.enter("free memory").is_err() {
            return;
        }
        for address in std::mem::take(&mut self.pool().free)
            .into_values()
            .flatten()
        {
            // SAFETY: the address came from `allocate`; nobody uses it any more.
            unsafe { functions::cuMemFree_v2(address) };
        }
    }
}
