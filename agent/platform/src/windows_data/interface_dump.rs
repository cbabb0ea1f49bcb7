//! What `netsh -c interface dump` prints: the commands that make the host's own settings of IPv4 and IPv6 again. They are
//! commands, in English on every Windows, so that what a reset of the stack loses can be read out of them.

use super::bytes;

/// One command of the dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSetting {
    /// In which context, as in `interface ipv4`.
    pub context: String,
    /// The command, as in `add address name="Ethernet0" address=10.0.0.5 mask=255.255.255.0`.
    pub command: String,
}

/// Most commands that are told; a server has some tens.
const COMMANDS_MAX: usize = 1_000;
/// What changes a setting rather than naming it: every context begins with these.
const EMPTY: [&str; 2] = ["reset", "set global"];

/// The commands in the contexts `interface ipv4` and `interface ipv6`; `None` when the dump has neither, so that it is not
/// understood.
#[must_use]
pub fn kept_settings(dump: &str) -> Option<Vec<KeptSetting>> {
    let (mut context, mut is_known) = (None, false);
    let mut kept = Vec::new();
    for line in dump.lines().map(str::trim) {
        if let Some(entered) = line.strip_prefix("pushd ") {
            let words = entered.split_whitespace().collect::<Vec<_>>().join(" ");
            let is_ours = matches!(words.as_str(), "interface ipv4" | "interface ipv6");
            is_known |= is_ours;
            context = is_ours.then_some(words);
        } else if line == "popd" {
            context = None;
        } else if let Some(context) = &context
            && !line.is_empty()
            && !line.starts_with('#')
            && !EMPTY.contains(&line)
            && kept.len() < COMMANDS_MAX
        {
            kept.push(KeptSetting {
                context: context.clone(),
                command: line.to_owned(),
            });
        }
    }
    is_known.then_some(kept)
}

/// The addresses in a value `IPAddress` of the registry: those that an interface without DHCP was given.
#[must_use]
pub fn addresses_in(multi_text: &[u8]) -> Vec<String> {
    let text = bytes::text(multi_text);
    let given = text.split('\0').map(str::trim);
    given
        .filter(|address| !address.is_empty() && *address != "0.0.0.0")
        .map(str::to_owned)
        .collect()
}

impl KeptSetting {
    /// The address that this command gives to an interface.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        let parameters = self.command.strip_prefix("add address ")?;
        // Names of interfaces may have spaces, and stand before in quotes.
        let (_, address) = parameters.rsplit_once("address=")?;
        address.split_whitespace().next()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written after what Windows Server 2019 prints.
    const DUMP: &str = "#========================\r\n# Interface configuration\r\n#========================\r\npushd interface \r\n\
        set interface name=\"Ethernet0\" admin=ENABLED\r\n\r\npopd\r\n\
        # ----------------------------------\r\n# IPv4 Configuration\r\n# ----------------------------------\r\n\
        pushd interface ipv4\r\n\r\nreset\r\nset global\r\n\
        add route prefix=0.0.0.0/0 interface=\"Ethernet 0\" nexthop=10.0.0.1 metric=1 publish=Yes\r\n\
        add address name=\"Ethernet 0\" address=10.0.0.5 mask=255.255.255.0\r\n\r\n\r\npopd\r\n\
        # End of IPv4 configuration\r\npushd interface ipv6\r\n\r\nreset\r\n\
        add address interface=\"Ethernet 0\" address=2001:db8::5\r\n\r\npopd\r\n\
        pushd interface httpstunnel\r\nreset\r\nadd address x=1\r\npopd\r\n";

    #[test]
    fn what_a_reset_would_lose_is_read_out_of_the_dump() {
        let kept = kept_settings(DUMP).unwrap();
        let addresses: Vec<_> = kept.iter().filter_map(KeptSetting::address).collect();
        assert_eq!(addresses, ["10.0.0.5", "2001:db8::5"]);
        let of_ipv4 = kept.iter().filter(|one| one.context == "interface ipv4");
        assert_eq!(of_ipv4.count(), 2, "{kept:?}");
        assert_eq!(kept.len(), 3, "{kept:?}");
    }

    #[test]
    fn what_is_no_dump_says_nothing() {
        assert_eq!(kept_settings(""), None);
        assert_eq!(
            kept_settings("The following command was not found: dump.\r\n"),
            None
        );
        assert_eq!(
            kept_settings("pushd interface ipv4\r\nreset\r\npopd\r\n"),
            Some(Vec::new())
        );
    }

    #[test]
    fn an_interface_without_an_address_of_its_own_has_none() {
        let multi =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let two = multi("10.0.0.5\x0010.0.0.6\0\0");
        assert_eq!(addresses_in(&two), ["10.0.0.5", "10.0.0.6"]);
        assert_eq!(addresses_in(&multi("0.0.0.0\0\0")), [] as [&str; 0]);
        assert_eq!(addresses_in(&[]), [] as [&str; 0]);
    }

    proptest! {
        #[test]
        fn whatever_it_prints_is_no_harm(text in "(pushd interface ipv4\n|add address |[ -~]{0,20}\n){0,20}") {
            for kept in kept_settings(&text).unwrap_or_default() {
                prop_assert!(kept.address().is_none_or(|address| text.contains(address)));
            }
        }
    }
}
