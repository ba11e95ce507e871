//! What the end of a command tells a script.

/// Exit codes of `portalctl`. They never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed; standard error says why.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// The database is not in the state that was asked for.
    NotAsWanted = 3,
    /// The role may not read or write a table.
    Privileges = 4,
    /// A mapping file does not fit the database.
    Mapping = 5,
    /// Another operation is under way, or somebody holds a lock; the holder is named.
    Busy = 6,
}

impl Exit {
    /// For the end of `--help`.
    pub const HELP: &'static str = "Exit codes:\n  \
        0  done\n  \
        1  failed; standard error says why\n  \
        2  wrong usage\n  \
        3  the database is not in the state that was asked for\n  \
        4  the role may not read or write a table\n  \
        5  a mapping file does not fit the database\n  \
        6  another operation is under way, or a lock is held; the holder is named";
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
