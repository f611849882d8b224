//! Arrays in device memory, and the words that kernels take.

use super::driver::{Address, Driver, DriverError, Launch};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

/// Numbers that are the same bytes on the host and on the device.
pub(crate) trait Word: Copy + Default + Debug + Send + Sync + 'static {}
impl Word for f32 {}
impl Word for f64 {}
impl Word for u32 {}
impl Word for u64 {}
impl Word for u16 {}
impl Word for u8 {}

#[expect(unsafe_code, reason = "numbers are read as bytes")]
fn bytes_of<T: Word>(values: &[T]) -> &[u8] {
    // SAFETY: a `Word` has no padding, and any byte may be read as u8.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

#[expect(unsafe_code, reason = "numbers are written as bytes")]
fn bytes_of_mut<T: Word>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: a `Word` has no padding, and every pattern of bytes is one of its values.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// A kernel's argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Argument(u64);

impl From<u32> for Argument {
    fn from(value: u32) -> Self {
        Self(u64::from(value))
    }
}

impl From<u64> for Argument {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl From<usize> for Argument {
    /// A size, for a parameter of 32 bits.
    fn from(value: usize) -> Self {
        Self(u64::from(word(value)))
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self(u64::from(value.to_bits()))
    }
}

impl<T: Word> From<&Array<T>> for Argument {
    fn from(array: &Array<T>) -> Self {
        Self(array.address)
    }
}

impl<T: Word> From<&mut Array<T>> for Argument {
    fn from(array: &mut Array<T>) -> Self {
        Self(array.address)
    }
}

impl<T> From<Part<T>> for Argument {
    fn from(part: Part<T>) -> Self {
        Self(part.address)
    }
}

/// A size that kernels count in 32 bits.
///
/// # Panics
/// If it does not fit: a model of such width could not be allocated.
pub(crate) fn word(size: usize) -> u32 {
    u32::try_from(size).expect("invariant: widths and row counts are below 2^32")
}

/// A device and the operations on it.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    driver: Arc<dyn Driver>,
}

impl Device {
    pub(crate) fn new(driver: Arc<dyn Driver>) -> Self {
        Self { driver }
    }

    pub(crate) fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    /// How many f32 fit into one of `share` equal parts of the memory.
    pub(crate) fn values(&self, share: u64) -> usize {
        usize::try_from(self.driver.memory_bytes() / share / 4).unwrap_or(usize::MAX)
    }

    /// An array of unspecified content.
    pub(crate) fn array<T: Word>(&self, length: usize) -> Result<Array<T>, DriverError> {
        let bytes = (length * size_of::<T>()).max(1);
        Ok(Array {
            address: self.driver.allocate(bytes)?,
            device: self.clone(),
            length,
            capacity: length,
            word: PhantomData,
        })
    }

    /// An array of zeros.
    pub(crate) fn zeros<T: Word>(&self, length: usize) -> Result<Array<T>, DriverError> {
        let mut array = self.array(length)?;
        array.clear()?;
        Ok(array)
    }

    /// An array of these values.
    pub(crate) fn upload<T: Word>(&self, values: &[T]) -> Result<Array<T>, DriverError> {
        let mut array = self.array(values.len())?;
        array.write(values)?;
        Ok(array)
    }

    /// Starts a kernel of blocks of `threads`; a grid without blocks is no work.
    pub(crate) fn launch(
        &self,
        kernel: &'static str,
        grid: [usize; 3],
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), DriverError> {
        if grid.contains(&0) {
            return Ok(());
        }
        let arguments: Vec<u64> = arguments.iter().map(|argument| argument.0).collect();
        self.driver.launch(Launch {
            kernel,
            grid: grid.map(word),
            threads,
            arguments: &arguments,
        })
    }

    /// Starts a kernel of one thread an element, in blocks of 256.
    pub(crate) fn each(
        &self,
        kernel: &'static str,
        count: usize,
        arguments: &[Argument],
    ) -> Result<(), DriverError> {
        self.launch(kernel, [count.div_ceil(256), 1, 1], 256, arguments)
    }
}

/// An array in device memory, given back when dropped.
#[derive(Debug)]
pub(crate) struct Array<T: Word> {
    device: Device,
    address: Address,
    length: usize,
    capacity: usize,
    word: PhantomData<T>,
}

/// A part of an array, as a kernel sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<T> {
    address: Address,
    length: usize,
    word: PhantomData<T>,
}

impl<T: Word> Part<T> {
    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// What follows the first `offset` elements.
    pub(crate) fn from(&self, offset: usize) -> Self {
        assert!(offset <= self.length, "part begins beyond its array");
        Self {
            address: self.address + (offset * size_of::<T>()) as u64,
            length: self.length - offset,
            word: PhantomData,
        }
    }

    /// The first `length` elements.
    pub(crate) fn first(&self, length: usize) -> Self {
        assert!(length <= self.length, "part ends beyond its array");
        Self { length, ..*self }
    }

    /// Whether vectors of 16 bytes may be read from the start.
    pub(crate) fn is_aligned(&self) -> bool {
        self.address.is_multiple_of(16)
    }
}

impl<T: Word> Array<T> {
    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// All of it.
    pub(crate) fn all(&self) -> Part<T> {
        Part {
            address: self.address,
            length: self.length,
            word: PhantomData,
        }
    }

    /// What follows the first `offset` elements.
    pub(crate) fn from(&self, offset: usize) -> Part<T> {
        self.all().from(offset)
    }

    /// The elements in a range.
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> Part<T> {
        self.from(range.start).first(range.len())
    }

    /// Makes this an array of `length` elements of unspecified content.
    pub(crate) fn resize(&mut self, length: usize) -> Result<(), DriverError> {
        if length > self.capacity {
            let device = self.device.clone();
            // The old memory goes first, so that both never stand side by side.
            *self = device.array(0)?;
            *self = device.array(length)?;
        }
        self.length = length;
        Ok(())
    }

    /// Sets all elements to zero.
    pub(crate) fn clear(&mut self) -> Result<(), DriverError> {
        let bytes = self.length * size_of::<T>();
        self.device.driver.clear(self.address, bytes)
    }

    /// Replaces the content, and the length.
    pub(crate) fn write(&mut self, values: &[T]) -> Result<(), DriverError> {
        self.resize(values.len())?;
        self.device.driver.upload(self.address, bytes_of(values))
    }

    /// Copies from the start of the array to the host, after all work before.
    pub(crate) fn read_into(&self, values: &mut [T]) -> Result<(), DriverError> {
        assert!(values.len() <= self.length, "array is shorter");
        self.device
            .driver
            .download(self.address, bytes_of_mut(values))
    }

    /// Copies to the host, after all work before.
    pub(crate) fn read(&self) -> Result<Vec<T>, DriverError> {
        let mut values = vec![T::default(); self.length];
        self.read_into(&mut values)?;
        Ok(values)
    }

    /// Copies another array of the same length.
    pub(crate) fn copy_from(&mut self, other: &Self) -> Result<(), DriverError> {
        self.resize(other.length)?;
        let bytes = other.length * size_of::<T>();
        self.device.driver.copy(other.address, self.address, bytes)
    }
}

impl<T: Word> Drop for Array<T> {
    fn drop(&mut self) {
        self.device.driver.free(self.address);
    }
}
