//! The file version of an executable, found in its bytes.

/// Begins the version resource of an image: the name `VS_VERSION_INFO` in UTF-16, with its zero.
const NAME: &str = "VS_VERSION_INFO\0";
/// `dwSignature` of `VS_FIXEDFILEINFO`, which follows the name after padding.
const SIGNATURE: u32 = 0xFEEF_04BD;
/// Bytes of padding between both at most: the structure is aligned to 32 bits.
const PADDING_MAX: usize = 4;

/// The version of an image, as in `10.0.17763.1234`; `None` when it states none.
#[must_use]
pub fn in_image(image: &[u8]) -> Option<String> {
    let name: Vec<u8> = NAME.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut rest = image;
    loop {
        let at = rest
            .windows(name.len())
            .position(|window| window == name.as_slice())?;
        rest = rest.get(at + name.len()..)?;
        if let Some(version) = after_name(rest) {
            return Some(version);
        }
    }
}

fn after_name(bytes: &[u8]) -> Option<String> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let at = (0..=PADDING_MAX).find(|at| number(*at) == Some(SIGNATURE))?;
    // Behind the signature and the structure's own version.
    let (high, low) = (number(at + 8)?, number(at + 12)?);
    Some(format!(
        "{}.{}.{}.{}",
        high >> 16,
        high & 0xffff,
        low >> 16,
        low & 0xffff
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resource(padding: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = NAME.encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.extend(vec![0; padding]);
        for number in [SIGNATURE, 0x0001_0000, 0x000a_0000, 0x4563_04d2] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn the_version_stands_behind_the_name_wherever_that_is() {
        let mut image = b"MZ\x90 VS_VERSION_INFO ".to_vec();
        // The name alone, as in a program that reads versions.
        image.extend(NAME.encode_utf16().flat_map(u16::to_le_bytes));
        image.extend([7; 9]);
        image.extend(resource(2));
        assert_eq!(in_image(&image).as_deref(), Some("10.0.17763.1234"));
        assert_eq!(in_image(&resource(0)).as_deref(), Some("10.0.17763.1234"));
        assert_eq!(in_image(b"MZ"), None);
        let cut = resource(2);
        assert_eq!(in_image(&cut[..cut.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(in_image(&bytes).is_none());
            prop_assert!(after_name(&bytes).is_none_or(|version| version.split('.').count() == 4));
        }
    }
}
