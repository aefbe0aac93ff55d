//! Archives of packages, as elements ask for them.

use goldsmith_images::import::debian::{ArchiveSpec, Suite};

use super::mirror::Mirror;
use crate::element::base_yaml::Debian;
use crate::machine::dpkg_name;
use crate::request::Request;

/// The archive that an element's `base.yaml` asks for.
pub fn archive(debian: &Debian, request: &Request, mirror: &Mirror) -> ArchiveSpec {
    let words = |text: &str| -> Vec<String> {
        text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let mut components = words(debian.components.as_deref().unwrap_or_default());
    if components.is_empty() {
        components.push("main".to_owned());
    }
    let arch = dpkg_name(&request.arch);
    let usual = debian.mirrors.get(arch).or(debian.mirrors.get("other")).map(String::as_str);
    let own = |named: &Option<String>, chosen: &str| {
        let named = named.as_deref().filter(|named| !named.is_empty());
        named.or(usual).unwrap_or(chosen).trim_end_matches('/').to_owned()
    };
    let main = own(&debian.mirror, &mirror.archive);
    let suite =
        |mirror: String, name: String| Suite { mirror, name, components: components.clone() };
    let mut suites = vec![suite(main.clone(), debian.suite.clone())];
    // Rolling suites have neither updates nor security updates of their own.
    if !matches!(debian.suite.as_str(), "sid" | "unstable" | "experimental") {
        for extra in &debian.suites {
            let name = format!("{}-{extra}", debian.suite);
            let from = if extra == "security" {
                own(&debian.security, &mirror.security)
            } else {
                main.clone()
            };
            suites.push(suite(from, name));
        }
    }
    ArchiveSpec {
        suites,
        arch: arch.to_owned(),
        variant: debian.variant,
        include: debian.include.clone(),
        exclude: debian.exclude.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldsmith_images::import::debian::Variant;

    /// The archives of a base's suites, for an architecture.
    fn addresses(debian: &Debian, arch: &str) -> Vec<String> {
        let mut request = Request::new(std::collections::BTreeMap::new(), "/".into()).unwrap();
        request.arch = arch.to_owned();
        let mirror = Mirror { archive: "http://d/debian".into(), security: "http://d/sec".into() };
        let spec = archive(debian, &request, &mirror);
        assert_eq!(spec.arch, dpkg_name(arch));
        spec.suites.into_iter().map(|suite| format!("{} {}", suite.mirror, suite.name)).collect()
    }

    #[test]
    fn the_archive_is_named_chosen_or_by_architecture() {
        let mut debian = Debian {
            suite: "noble".into(),
            components: None,
            variant: Variant::Minbase,
            include: Vec::new(),
            exclude: Vec::new(),
            mirror: Some(String::new()),
            security: None,
            mirrors: std::collections::BTreeMap::new(),
            suites: vec!["security".into()],
            when: None,
            replaces: Vec::new(),
        };
        let usual = ["http://d/debian noble", "http://d/sec noble-security"];
        assert_eq!(addresses(&debian, "arm64"), usual);
        debian.mirrors.insert("amd64".into(), "http://u/ubuntu/".into());
        assert_eq!(addresses(&debian, "arm64"), usual);
        debian.mirrors.insert("other".into(), "http://p/ports".into());
        assert_eq!(addresses(&debian, "x86_64")[1], "http://u/ubuntu noble-security");
        assert_eq!(addresses(&debian, "aarch64")[0], "http://p/ports noble");
        debian.mirror = Some("file:///m".into());
        let named = ["file:///m noble", "http://p/ports noble-security"];
        assert_eq!(addresses(&debian, "arm64"), named);
    }
}
