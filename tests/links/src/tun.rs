//! TUN devices: what the system would send over a link can be read, and what it should receive
//! from there can be written, packet by packet.

use anyhow::{Context as _, Result, ensure};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use std::fs::{File, OpenOptions};

/// Bytes of the kernel's `struct ifreq`.
const REQUEST_BYTES: usize = 40;
/// Longest name of a device.
const NAME_BYTES_MAX: usize = 15;
/// `IFF_TUN`, packets of the internet layer, and `IFF_NO_PI`, without anything before them.
const FLAGS: u16 = 0x0001 | 0x1000;
/// `TUNSETIFF`.
const SET_INTERFACE: Opcode = opcode::write::<i32>(b'T', 202);

/// Makes a device that lives as long as the file is open.
///
/// # Errors
/// When the system has no TUN devices, or this process may not make one.
pub(crate) fn make(name: &str) -> Result<File> {
    ensure!(
        name.len() <= NAME_BYTES_MAX,
        "device name {name} has {} bytes; {NAME_BYTES_MAX} are allowed",
        name.len()
    );
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .context("cannot open /dev/net/tun")?;
    let mut request = [0_u8; REQUEST_BYTES];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&FLAGS.to_ne_bytes());
    #[expect(unsafe_code, reason = "a device is made by this call only")]
    // SAFETY: TUNSETIFF reads a struct ifreq, which has 40 bytes: a name of 16, and flags at 16.
    unsafe {
        ioctl(
            &file,
            Setter::<SET_INTERFACE, [u8; REQUEST_BYTES]>::new(request),
        )
    }
    .with_context(|| format!("cannot make the device {name}"))?;
    Ok(file)
}
