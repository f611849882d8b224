//! Tests of the tests: under `cargo test` one rule at a time can be broken, and the property that
//! guards it must then fail. In every other build [`on`] is the constant `false`.

#[cfg(test)]
thread_local! {
    static BROKEN: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Whether this rule is broken on purpose.
#[cfg(test)]
pub(crate) fn on(rule: &'static str) -> bool {
    BROKEN.get() == Some(rule)
}

/// Whether this rule is broken on purpose: never, outside tests.
#[cfg(not(test))]
pub(crate) const fn on(_rule: &'static str) -> bool {
    false
}

/// Breaks a rule on this thread while `operation` runs.
#[cfg(test)]
pub(crate) fn with<T>(rule: Option<&'static str>, operation: impl FnOnce() -> T) -> T {
    BROKEN.set(rule);
    let result = operation();
    BROKEN.set(None);
    result
}
