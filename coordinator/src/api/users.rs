//! Users.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::id::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::list::ListQuery;
use super::people::keep_password;
use super::request::{Json, Origin, Path, Query, id, tagged};
use super::{Api, Problem};
use mdfm_coordinator_core::access::{AccessRole, Permission, User};
use mdfm_coordinator_core::{Command, Refusal};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewUser {
    user_id: String,
    printed_name: String,
    roles: Vec<AccessRole>,
    /// The hospital of a user with the role HospitalStaff.
    #[serde(default)]
    hospital_id: Option<String>,
    #[schema(format = Password)]
    password: String,
}

/// That somebody's identity was verified.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IdentityView {
    by: String,
    evidence: String,
    verified_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    user_id: String,
    printed_name: String,
    roles: Vec<AccessRole>,
    hospital_id: Option<String>,
    second_factor: bool,
    disabled: bool,
    /// By whom and by what the identity was verified; without it the user signs nothing.
    identity: Option<IdentityView>,
    trained_until: Option<String>,
    password_set_at: String,
}

fn view(id: &UserId, user: &User) -> UserView {
    UserView {
        user_id: id.to_string(),
        printed_name: user.printed_name.clone(),
        roles: user.roles.clone(),
        hospital_id: user.hospital.as_ref().map(ToString::to_string),
        second_factor: user.second_factor.is_some(),
        disabled: user.disabled,
        identity: user.identity.as_ref().map(|i| IdentityView {
            by: i.by.clone(),
            evidence: i.evidence.clone(),
            verified_at: i.at.to_string(),
        }),
        trained_until: user.trained_until.map(|t| t.to_string()),
        password_set_at: user.password_set_at.to_string(),
    }
}

/// Creates a user; ids are never used twice (21 CFR 11.100(a)).
#[utoipa::path(post, path = "/api/v1/users", request_body = NewUser,
    responses((status = 201, body = UserView), (status = 409, body = Problem)))]
pub(super) async fn create(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, axum::Json<UserView>), Problem> {
    let caller = origin.need(&api, Permission::ManageUsers, "user.create", "user").await?;
    let user: UserId = id("userId", &new.user_id)?;
    let hospital = new.hospital_id.as_deref().map(|h| id("hospitalId", h)).transpose()?;
    let credential = keep_password(&api, &caller, new.password).await?;
    let command = Command::CreateUser {
        user: user.clone(),
        printed_name: new.printed_name,
        roles: new.roles,
        hospital,
        credential,
    };
    if let Err(problem) = origin.submit(&api, &caller, command).await {
        api.credentials.forget(credential);
        return Err(problem);
    }
    let state = api.runner.state();
    let created = state.users.get(&user).ok_or_else(|| Refusal::not_found("user", &user))?;
    Ok((StatusCode::CREATED, axum::Json(view(&user, created))))
}

/// Lists users.
#[utoipa::path(get, path = "/api/v1/users", params(ListQuery),
    responses((status = 200, body = Vec<UserView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAudit, "user.list", "user").await?;
    let state = api.runner.state();
    query.page("/api/v1/users", &state.users, |_, _| true, view)
}

/// Shows one user.
#[utoipa::path(get, path = "/api/v1/users/{user}", responses((status = 200, body = UserView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
) -> Result<Response, Problem> {
    let object = format!("user/{user}");
    origin.need(&api, Permission::ReadAudit, "user.show", &object).await?;
    let user: UserId = id("user", &user)?;
    let state = api.runner.state();
    let found = state.users.get(&user).ok_or_else(|| Refusal::not_found("user", &user))?;
    Ok(tagged(&state, &object, view(&user, found)))
}

/// What a role may do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleView {
    role: AccessRole,
    permissions: Vec<PermissionView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PermissionView {
    permission: Permission,
    /// Whether the second factor must have been shown shortly before.
    second_factor: bool,
    /// Whether no token for a machine carries it.
    person: bool,
}

/// Lists the roles and what each may do; the document of the API says which permission each call needs (`x-right`).
#[utoipa::path(get, path = "/api/v1/roles", responses((status = 200, body = Vec<RoleView>), (status = 401, body = Problem)))]
pub(super) async fn roles(State(api): State<Api>, origin: Origin) -> Result<axum::Json<Vec<RoleView>>, Problem> {
    origin.need(&api, Permission::Read, "role.list", "role").await?;
    let view = |permission: Permission| PermissionView {
        permission,
        second_factor: permission.is_critical(),
        person: permission.needs_person(),
    };
    let all = AccessRole::ALL.map(|role| RoleView {
        role,
        permissions: Permission::ALL.into_iter().filter(|p| p.is_granted_to(role)).map(view).collect(),
    });
    Ok(axum::Json(all.into()))
}
