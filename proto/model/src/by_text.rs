//! What is written as text wherever it goes: ids of hexadecimal digits, and the serialised form by text.

/// Serialises by `Display` and `FromStr`.
macro_rules! serde_by_text {
    ($($name:ty),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

/// Gives an id of so many bytes its bytes and its text form, lower-case hexadecimal digits; other texts are the error.
macro_rules! hex_id {
    ($name:ident, $length:literal, $invalid:ident) => {
        impl $name {
            #[doc = concat!("From its ", $length, " bytes.")]
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            #[doc = concat!("Its ", $length, " bytes.")]
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, $invalid> {
                let bytes = data_encoding::HEXLOWER.decode(text.as_bytes());
                let bytes = bytes.map_err(|_| $invalid)?;
                bytes.try_into().map(Self).map_err(|_| $invalid)
            }
        }

        $crate::by_text::serde_by_text!($name);
    };
}

pub(crate) use {hex_id, serde_by_text};
