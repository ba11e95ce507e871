//! The commands of `docs/MIGRATION.md`, as they stand there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use portal_test_harness::{ServiceRole, TestDb};

use crate::{
    fingerprint::hashes,
    inspect::{UUID_KEYS, legacy},
};

const GUIDE: &str = include_str!("../../../../docs/MIGRATION.md");

/// The `bash` blocks under a heading.
struct Section {
    title: &'static str,
    blocks: Vec<&'static str>,
}

/// The sections that have some, in their order.
fn sections() -> Vec<Section> {
    GUIDE
        .split("\n## ")
        .skip(1)
        .map(|text| Section {
            title: text.lines().next().unwrap_or_default(),
            blocks: text
                .split("```bash\n")
                .skip(1)
                .map(|rest| rest.split("\n```").next().unwrap_or_default())
                .collect(),
        })
        .filter(|section| !section.blocks.is_empty())
        .collect()
}

/// A legacy installation, and a directory to work in, as an operator has it.
struct Place {
    db: TestDb,
    directory: PathBuf,
    restored: String,
}

impl Place {
    fn new(name: &str, shape: &str, key: &str) -> Self {
        let db = legacy();
        db.execute(shape);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guide-{name}"));
        drop(std::fs::remove_dir_all(&directory));
        std::fs::create_dir(&directory).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::os::unix::fs::symlink(root.join("deploy"), directory.join("deploy")).unwrap();
        // A tenant is named by its key, whatever that is.
        let keys = db.query(&format!("SELECT {key} FROM tenants ORDER BY name"));
        let names = ["acme_corp", "globex_inc", "initech", "umbrella"];
        for (file, list) in [
            (
                "tenant_genesys_mapping.csv",
                include_str!("tenant_genesys_mapping.csv"),
            ),
            (
                "agent_mapping.csv",
                include_str!("fixtures/agent_mapping.csv"),
            ),
        ] {
            let pairs = names.iter().zip(&keys);
            let list = pairs.fold(list.to_owned(), |list, (name, key)| {
                list.replace(&format!("{name},"), &format!("{key},"))
            });
            std::fs::write(directory.join(file), list).unwrap();
        }
        let restored = format!("{}_restored", db.superuser_url());
        Self {
            db,
            directory,
            restored,
        }
    }

    /// Runs all blocks of a section; gives what they said.
    fn run(&self, title: &str) -> String {
        let section = sections()
            .into_iter()
            .find(|section| section.title == title);
        let section = section.unwrap_or_else(|| panic!("the guide has no section {title:?}"));
        section
            .blocks
            .iter()
            .map(|block| self.run_block(title, block))
            .collect()
    }

    fn run_block(&self, title: &str, block: &str) -> String {
        let (_, name) = self.restored.rsplit_once('/').unwrap();
        // The guide's name of the database is an example.
        let block = block.replace("whatsapp_genesys", name.trim_end_matches("_restored"));
        let portalctl = Path::new(env!("CARGO_BIN_EXE_portalctl"));
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", portalctl.parent().unwrap().display());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(&self.directory)
            .env("PATH", path)
            .env("ADMIN_URL", self.db.superuser_url())
            .env("DATABASE_URL", self.db.url(ServiceRole::Owner))
            .env("RESTORE_URL", &self.restored)
            .env(
                "VAULT_KEYS",
                "key1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            )
            .env("VAULT_ACTIVE_KEY", "key1")
            .output()
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.status.success(),
            "{title}:\n{block}\n{}\n{said}",
            output.status
        );
        assert!(!said.contains("EAAlegacyToken"), "{title}: {said}");
        said
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (_, name) = self.restored.rsplit_once('/').unwrap();
        self.db
            .execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// All that the guide says, on one installation; rolled back once and begun again.
fn follow(name: &str, shape: &str, key: &str) {
    let place = Place::new(name, shape, key);
    let admin = place.db.superuser_url();
    place.run("Before you begin");
    place.run("Inspect");
    place.run("Agents");
    let said = place.run("Whose accounts");
    assert!(
        said.contains("3 migrated, 1 merged, 2 skipped, 0 rejected"),
        "{said}"
    );
    place.run("Plan");
    place.run("Back up");
    let before = hashes(&admin);
    place.run("Rehearse");
    assert_eq!(hashes(&admin), before);
    place.run("Migrate");
    assert_eq!(
        hashes(&admin).1,
        before.1,
        "the legacy rows are as they were"
    );
    place.run("Genesys organizations");
    place.run("Verify");
    place.run("Roll back");
    assert_eq!(hashes(&admin), before);

    place.run("Migrate");
    place.run("Genesys organizations");
    place.db.execute(
        "INSERT INTO agent_conversation_assignments (conversation_id, agent_id, assigned_at) \
         VALUES ('conv-late', '00000000-0000-4000-8000-000000000004', now())",
    );
    place.run("Switch");
    let people = "SELECT count(*) || ' ' || count(*) FILTER (WHERE is_placeholder) FROM agent_portal.genesys_users";
    assert_eq!(place.db.query(people), ["8 1"]);
    let late = "SELECT right(assigned_to::text, 1) FROM agent_portal.conversations \
         WHERE genesys_conversation_id = 'conv-late'";
    assert_eq!(place.db.query(late), ["4"]);
    let last = hashes(&admin);
    place.run("Retire");
    assert_eq!(
        place.db.query(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace \
             AND relkind = 'r' ORDER BY 1"
        ),
        [
            "__portal_operations",
            "conversation_mappings",
            "message_tracking"
        ]
    );
    assert_eq!(place.db.query(late), ["4"]);
    place.run("Restore");
    assert_eq!(hashes(&place.restored), last);
}

#[test]
fn the_guide_takes_an_installation_with_keys_of_text_all_the_way() {
    follow("text", "SELECT", "tenant_id");
}

#[test]
fn the_guide_takes_an_installation_with_keys_of_uuid_all_the_way() {
    follow("uuid", UUID_KEYS, "id");
}

#[test]
fn every_section_with_commands_is_followed() {
    let titles: Vec<_> = sections().iter().map(|section| section.title).collect();
    let followed = [
        "Before you begin",
        "Inspect",
        "Agents",
        "Whose accounts",
        "Plan",
        "Back up",
        "Rehearse",
        "Migrate",
        "Genesys organizations",
        "Verify",
        "Switch",
        "Roll back",
        "Retire",
        "Restore",
    ];
    assert_eq!(titles, followed);
}
