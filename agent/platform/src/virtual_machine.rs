//! Which virtual machine a machine's maker and product name hint at, as its firmware tells them to any system.

/// Words of makers and products, and what they make.
const MAKERS: [(&str, &str); 8] = [
    ("QEMU", "kvm"),
    ("KVM", "kvm"),
    ("VMware", "vmware"),
    ("VirtualBox", "virtualbox"),
    ("Microsoft Corporation Virtual Machine", "hyper-v"),
    ("Xen", "xen"),
    ("Amazon EC2", "kvm"),
    ("Google Compute Engine", "kvm"),
];

/// The virtual machine of `maker`, a maker and a product name with a blank between; `None` for hardware.
pub(crate) fn of_maker(maker: &str) -> Option<&'static str> {
    let made = MAKERS.iter().find(|(word, _)| maker.contains(word));
    made.map(|(_, machine)| *machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_from_hardware_of_the_same_maker() {
        let hyper_v = "Microsoft Corporation Virtual Machine";
        assert_eq!(of_maker(hyper_v), Some("hyper-v"));
        assert_eq!(of_maker("Microsoft Corporation Surface"), None);
        assert_eq!(of_maker("VMware, Inc. VMware7,1"), Some("vmware"));
        assert_eq!(of_maker("Dell Inc. PowerEdge R640"), None);
    }
}
