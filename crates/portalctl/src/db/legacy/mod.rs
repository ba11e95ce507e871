//! The commands that take a legacy installation to the organization-level model, and back.

mod ledger;
mod migrate;
mod plan;
mod rehearse;
mod retire;
mod rollback;
mod verify;

use std::{fs, path::Path};

use anyhow::Context as _;
use diesel::PgConnection;
use portal_legacy::{Catalog, Decisions, LegacyError, Mapping, Shape, read_only};
use portal_migration::{MigrationError, State, state};

pub(super) use self::{
    ledger::Ledger,
    migrate::{Files, How, Inputs, Legacy},
    plan::Plan,
    rehearse::Rehearse,
    retire::Retire,
    rollback::Rollback,
    verify::run as verify,
};

/// A migration that is under way.
struct UnderWay {
    state: State,
    mapping: Mapping,
    decisions: Decisions,
    catalog: Catalog,
}

impl UnderWay {
    fn legacy(&self) -> portal_migration::Legacy<'_> {
        portal_migration::Legacy {
            catalog: &self.catalog,
            mapping: &self.mapping,
            decisions: &self.decisions,
        }
    }
}

/// The migration of the schema that the connection is in.
fn under_way(conn: &mut PgConnection) -> anyhow::Result<UnderWay> {
    let Some(state) = state(conn)? else {
        let text = "no migration of a legacy installation is under way: run `portalctl db migrate --mapping FILE`";
        return Err(MigrationError::State(text.to_owned()).into());
    };
    if state.is_retired {
        let text = "the legacy tables were retired: this is done";
        return Err(MigrationError::State(text.to_owned()).into());
    }
    let mapping = Mapping::read(&state.mapping)?;
    let catalog = read_only(conn, |conn| {
        let catalog = Catalog::read(conn, &mapping.schema)?;
        mapping.check(&catalog)?;
        Ok::<_, LegacyError>(catalog)
    })?;
    let decisions = match state.decisions.as_str() {
        "" => Decisions::none(),
        text => Decisions::read(text)?,
    };
    Ok(UnderWay {
        state,
        mapping,
        decisions,
        catalog,
    })
}

/// A mapping file that fits the database.
pub(super) struct Mapped {
    /// As it stands in the file.
    text: String,
    pub(super) mapping: Mapping,
    pub(super) catalog: Catalog,
}

pub(super) fn mapped(conn: &mut PgConnection, file: &Path) -> anyhow::Result<Mapped> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mapping = Mapping::read(&text).with_context(|| file.display().to_string())?;
    let (shape, catalog) = read_only(conn, |conn| {
        let catalog = Catalog::read(conn, &mapping.schema)?;
        Ok::<_, LegacyError>((Shape::of(&catalog), catalog))
    })?;
    if !matches!(shape, Shape::Legacy { .. }) {
        return Err(MigrationError::State(format!(
            "{} Only a legacy installation is migrated by a mapping.",
            shape.explain()
        ))
        .into());
    }
    mapping
        .check(&catalog)
        .with_context(|| file.display().to_string())?;
    Ok(Mapped {
        text,
        mapping,
        catalog,
    })
}
