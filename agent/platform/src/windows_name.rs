//! What a Windows is called, from what it says about itself. Compiles everywhere, so that it is tested.

use std::fmt;

/// A version of Windows; ordered as they came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowsVersion {
    /// 6 up to Server 2012 R2, 10 since.
    pub major: u32,
    /// 3 for Server 2012 R2, 0 since Server 2016.
    pub minor: u32,
    /// As in 17763 for Server 2019.
    pub build: u32,
    /// The monthly update (`UBR`); `None` on systems that do not number them.
    pub revision: Option<u32>,
}

impl fmt::Display for WindowsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)?;
        match self.revision {
            Some(revision) => write!(f, ".{revision}"),
            None => Ok(()),
        }
    }
}

/// The system as people say it, with its version, as in `Windows Server 2019 Datacenter 10.0.17763.1234`.
pub(crate) fn system_name(
    product: Option<&str>,
    version: WindowsVersion,
    wine: Option<&str>,
) -> String {
    let product = product.map(|name| name.trim_start_matches("Microsoft ").trim());
    let product = product.filter(|name| !name.is_empty()).unwrap_or("Windows");
    match wine {
        Some(wine) => format!("{product} {version} (Wine {wine})"),
        None => format!("{product} {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER_2019: WindowsVersion = WindowsVersion {
        major: 10,
        minor: 0,
        build: 17_763,
        revision: Some(1234),
    };

    #[test]
    fn the_system_is_named_as_people_say_it() {
        let name = system_name(Some("Windows Server 2019 Datacenter"), SERVER_2019, None);
        assert_eq!(name, "Windows Server 2019 Datacenter 10.0.17763.1234");
        let server_2012 = WindowsVersion {
            major: 6,
            minor: 3,
            build: 9600,
            revision: None,
        };
        assert_eq!(system_name(None, server_2012, None), "Windows 6.3.9600");
        assert_eq!(
            system_name(Some("Microsoft Windows 7"), server_2012, Some("8.0")),
            "Windows 7 6.3.9600 (Wine 8.0)"
        );
        assert!(server_2012 < SERVER_2019);
    }
}
