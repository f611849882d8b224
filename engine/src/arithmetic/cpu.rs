//! Which instruction set runs the kernels, and the macro that compiles one body for each.

/// An instruction set the kernels are compiled for. All of them give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelPath {
    /// Plain Rust; fma may be a library call, so this path is for checking, not for speed.
    Portable,
    /// AVX2 and FMA, 8 lanes.
    Avx2,
    /// AVX-512F, 16 lanes.
    Avx512,
}

impl KernelPath {
    /// Whether this machine can run the path.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && Self::Avx2.is_supported()
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// Every path this machine can run, slowest first.
    #[must_use]
    pub fn supported() -> Vec<Self> {
        let mut paths = vec![Self::Portable, Self::Avx2, Self::Avx512];
        paths.retain(|path| path.is_supported());
        paths
    }
}

/// A path that was checked against this machine: holding one proves that its kernels may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernels(KernelPath);

impl Kernels {
    /// The fastest supported path.
    pub(crate) fn detect() -> Self {
        if let Some(kernels) = Self::new(KernelPath::Avx512) {
            return kernels;
        }
        Self::new(KernelPath::Avx2).unwrap_or(Self(KernelPath::Portable))
    }

    /// The given path, if this machine supports it.
    pub(crate) fn new(path: KernelPath) -> Option<Self> {
        path.is_supported().then_some(Self(path))
    }

    /// The path.
    pub(crate) fn path(self) -> KernelPath {
        self.0
    }
}

/// Compiles one function body for every [`KernelPath`] and dispatches at run time.
///
/// The body is plain Rust over slices; inlined into a function with the target feature, its
/// loops are vectorised for it. Rust never contracts or reassociates floating point, so the
/// three copies compute the same bits. Every helper the body calls must be `#[inline(always)]`.
macro_rules! kernel {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block
    ) => {
        $(#[$meta])*
        #[expect(unsafe_code, reason = "calls a function compiled for a checked target feature")]
        $vis fn $name(kernels: $crate::arithmetic::cpu::Kernels, $($arg: $type),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $ret)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq")]
            fn avx512($($arg: $type),*) $(-> $ret)? {
                body($($arg),*)
            }

            match kernels.path() {
                // SAFETY: a `Kernels` exists only for a path that `is_supported` confirmed.
                #[cfg(target_arch = "x86_64")]
                $crate::arithmetic::cpu::KernelPath::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::arithmetic::cpu::KernelPath::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use kernel;
