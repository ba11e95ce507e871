//! What the rows say of a person's session, for services that cannot believe the revocation list.

use async_trait::async_trait;
use diesel::{
    QueryableByName, RunQueryDsl as _,
    sql_types::{Bool, Text, Uuid},
};
use portal_auth::{AccessClaims, SessionTruth, TruthUnavailable};
use portal_db::{Db, DbError, Scope};

/// The database's sessions, people and tenants, as far as every service may read them.
#[derive(Debug, Clone)]
pub struct SessionRows(pub Db);

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    lives: bool,
}

#[async_trait]
impl SessionTruth for SessionRows {
    async fn has_ended(&self, claims: &AccessClaims) -> Result<bool, TruthUnavailable> {
        let (tenant, session) = (claims.tenant_id.clone(), claims.sid.as_uuid());
        let role = claims.role;
        let found = self
            .0
            .read("session_rows", Scope::from(&claims.tenant_id), move |tx| {
                // Row level security shows this tenant's rows only.
                diesel::sql_query(
                    "SELECT EXISTS ( \
                         SELECT FROM genesys_user_sessions s \
                         JOIN genesys_users u ON u.tenant_id = s.tenant_id AND u.user_id = s.user_id \
                         JOIN tenants t ON t.tenant_id = s.tenant_id \
                         WHERE s.tenant_id = $1 AND s.session_id = $2 AND s.revoked_at IS NULL \
                           AND s.expires_at > now() AND u.is_active AND u.role = $3 \
                           AND t.status = 'active') AS lives",
                )
                .bind::<Text, _>(tenant.as_str())
                .bind::<Uuid, _>(session)
                .bind::<Text, _>(role.as_str())
                .get_result::<Answer>(tx.conn())
                .map_err(DbError::from)
            })
            .await;
        match found {
            Ok(answer) => Ok(!answer.lives),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a session cannot be looked up"
                );
                Err(TruthUnavailable)
            }
        }
    }
}
