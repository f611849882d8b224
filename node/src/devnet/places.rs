//! Where a devnet's participants are: all of them on the loopback address, or each in a network
//! namespace of its own, between links as slow as `tests/links` makes them.

/// Where a devnet's participants are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// What the names of namespaces begin with.
    pub namespaces: Option<String>,
}

impl Places {
    /// The address of the participant with this position.
    #[must_use]
    pub fn address(&self, index: u16) -> String {
        match self.namespaces {
            Some(_) => format!("10.77.0.{}", index + 1),
            None => "127.0.0.1".to_owned(),
        }
    }
    /// What starts a program at the place of the participant with this position, before its name.
    #[must_use]
    pub fn prefix(&self, index: u16) -> Vec<String> {
        let namespace = self.namespaces.iter();
        let enter = |prefix| {
            let name = format!("{prefix}{index}");
            ["ip", "netns", "exec", &name].map(str::to_owned)
        };
        namespace.flat_map(enter).collect()
    }
}
