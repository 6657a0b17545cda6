//! Which sites may speak for which domains of protection identifiers (SS-075).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// For each site that may not speak for all domains, those that it may speak for.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Trust {
    limited: BTreeMap<u16, Vec<u16>>,
}

/// The text is no list of sites and domains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoTrust;

impl Trust {
    /// Every site speaks for every domain.
    pub const fn new() -> Trust {
        Trust {
            limited: BTreeMap::new(),
        }
    }

    /// A site speaks for these domains only.
    pub fn limit(&mut self, site: u16, domains: &[u16]) {
        self.limited.insert(site, domains.to_vec());
    }

    /// Whether a site may speak for a domain.
    pub fn speaks_for(&self, site: u16, domain: u16) -> bool {
        match self.limited.get(&site) {
            Some(domains) => domains.contains(&domain),
            None => true,
        }
    }

    /// Sites that do not speak for all domains.
    pub fn sites(&self) -> impl Iterator<Item = u16> {
        self.limited.keys().copied()
    }

    /// From text: `SITE=DOMAIN,DOMAIN…;SITE=…`, in decimal; `SITE=` is a site that speaks for none. Errors: anything else.
    pub fn parse(text: &str) -> Result<Trust, NoTrust> {
        let mut trust = Trust::new();
        for entry in text.split(';').filter(|entry| !entry.is_empty()) {
            let (site, domains) = entry.split_once('=').ok_or(NoTrust)?;
            let site = site.parse().map_err(|_| NoTrust)?;
            let domains = domains.split(',').filter(|domain| !domain.is_empty());
            let domains: Result<Vec<u16>, _> = domains.map(str::parse).collect();
            if trust.limited.contains_key(&site) {
                return Err(NoTrust);
            }
            trust.limit(site, &domains.map_err(|_| NoTrust)?);
        }
        Ok(trust)
    }
}

/// The text that [`Trust::parse`] reads.
impl core::fmt::Display for Trust {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (at, (site, domains)) in self.limited.iter().enumerate() {
            let between = if at == 0 { "" } else { ";" };
            write!(f, "{between}{site}=")?;
            for (at, domain) in domains.iter().enumerate() {
                let between = if at == 0 { "" } else { "," };
                write!(f, "{between}{domain}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn ss_075_a_limited_site_speaks_for_its_domains_only() {
        let trust = Trust::parse("3=1,2;7=").unwrap();
        let heard = |site| (0u16..4).filter(|&did| trust.speaks_for(site, did)).count();
        assert_eq!((heard(3), heard(7), heard(1)), (2, 0, 4));
        assert!(trust.speaks_for(3, 2) && !trust.speaks_for(3, 0));
        assert_eq!(trust.to_string(), "3=1,2;7=");
        assert_eq!(Trust::parse(""), Ok(Trust::new()));
        for wrong in ["3", "x=1", "3=x", "3=1;3=2", "3=70000", "3:1"] {
            assert_eq!(Trust::parse(wrong), Err(NoTrust), "{wrong}");
        }
    }
}
