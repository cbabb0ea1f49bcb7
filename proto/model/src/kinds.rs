//! Enumerations that are stored and told by name, declared once with their names.

/// Declares an enumeration whose every kind has one name, in the store and in JSON.
macro_rules! kinds {
    (
        $(#[$of_all:meta])*
        $all:ident
        $($(#[$meta:meta])* $variant:ident = $name:literal,)*
    ) => {
        $(#[$of_all])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $all { $($(#[$meta])* $variant,)* }

        impl $all {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stored name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
            }
        }
    };
}

pub(crate) use kinds;
