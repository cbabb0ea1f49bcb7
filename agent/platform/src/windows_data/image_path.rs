//! Where the file of a service or driver is, by its `ImagePath` in the registry: with or without quotes, arguments, a drive.

/// The file's path, `None` when nothing names one. `windows` is the folder of Windows, as in `C:\Windows`.
#[must_use]
pub fn file_in(image_path: &str, windows: &str) -> Option<String> {
    let text = image_path.trim();
    let path = match text.strip_prefix('"') {
        Some(rest) => rest.split('"').next()?,
        None => without_arguments(text),
    };
    let path = path.trim();
    if path.is_empty() {
        return None;
    }
    let below_windows = |rest: &str| format!(r"{}\{}", windows.trim_end_matches('\\'), rest);
    if let Some(rest) = path.strip_prefix(r"\??\") {
        return (!rest.is_empty()).then(|| rest.to_owned());
    }
    if let Some(rest) = after(path, r"\SystemRoot\") {
        return Some(below_windows(rest));
    }
    // The kernel takes the paths of drivers from the folder of Windows on.
    if after(path, r"System32\").is_some() {
        return Some(below_windows(path));
    }
    Some(path.to_owned())
}

/// What follows `prefix`, in any case of its letters.
fn after<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let head = path.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| path.get(prefix.len()..))
        .flatten()
}

/// Up to the end of the file's name; a path without quotes may hold spaces.
fn without_arguments(text: &str) -> &str {
    const ENDINGS: [&str; 2] = [".exe", ".sys"];
    let lower = text.to_ascii_lowercase();
    let ends = ENDINGS.iter().filter_map(|ending| {
        let mut found = lower.match_indices(ending).map(|(at, _)| at + ending.len());
        found.find(|end| {
            lower
                .get(*end..)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
    });
    match ends.min() {
        Some(end) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_file_is_found_in_every_way_that_services_name_it() {
        for (image_path, expected) in [
            (
                r#""C:\Program Files\CrowdStrike\CSFalconService.exe""#,
                r"C:\Program Files\CrowdStrike\CSFalconService.exe",
            ),
            (r#""C:\A B\x.exe" --run "C:\y""#, r"C:\A B\x.exe"),
            (
                r"C:\Program Files\Elastic\Endpoint\elastic-endpoint.exe run -x",
                r"C:\Program Files\Elastic\Endpoint\elastic-endpoint.exe",
            ),
            (
                r"\SystemRoot\system32\DRIVERS\CSAgent.sys",
                r"C:\Windows\system32\DRIVERS\CSAgent.sys",
            ),
            (
                r"system32\drivers\parity.sys",
                r"C:\Windows\system32\drivers\parity.sys",
            ),
            (
                r"\??\C:\Sentinel\SentinelMonitor.sys",
                r"C:\Sentinel\SentinelMonitor.sys",
            ),
            (r"C:\my.exe.d\tool.EXE", r"C:\my.exe.d\tool.EXE"),
        ] {
            assert_eq!(
                file_in(image_path, r"C:\Windows").as_deref(),
                Some(expected)
            );
        }
        assert_eq!(file_in("", r"C:\Windows"), None);
        assert_eq!(file_in("\"\" x", r"C:\Windows"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_without_a_panic(text in any::<String>()) {
            let file = file_in(&text, r"C:\Windows");
            prop_assert!(file.is_none_or(|file| !file.is_empty()));
        }
    }
}
