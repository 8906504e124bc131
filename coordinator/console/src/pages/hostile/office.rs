//! The API of the office, every text of it hostile: people, audit log, retention, settings, notices, the own account.

use axum::http::Method;
use serde_json::{Value, json};

use super::{AT, X};

fn me() -> Value {
    let all = [
        "manageUsers",
        "manageTrust",
        "manageFleet",
        "submitFirmware",
        "approve",
        "deploy",
        "stop",
        "rollBack",
        "consent",
        "recall",
        "publishAuthority",
        "reportIncident",
        "read",
        "readAll",
        "readAudit",
        "retain",
        "dispose",
    ];
    json!({
        "userId": X, "printedName": X, "roles": [X], "permissions": all, "hospitalId": X, "secondFactor": false,
        "recoveryCodesLeft": 1, "signingKey": X, "passwordSetAt": AT, "email": X, "trainedUntil": AT, "cannotSign": X,
        "session": { "endsAt": AT, "idleEndsAt": AT, "factorCountsUntil": AT },
    })
}

fn record() -> Value {
    json!({
        "index": 3, "v": 1, "at": AT, "atMs": 1, "actor": { "kind": "user", "id": X, "roles": [X] }, "action": X, "object": format!("device/{X}"),
        "outcome": X, "component": X, "site": X, "address": X, "reason": X, "before": { X: X }, "after": { X: [X] }, "event": { X: X }, "document": X,
    })
}

fn deployment() -> Value {
    let devices = json!({ "devices": 4, "confirmed": 1, "failed": 1, "silent": 1, "inFlight": 1, "accounted": 2 });
    json!({
        "deploymentId": X, "firmwareId": X, "createdAt": AT, "createdBy": X, "currentPhase": 1, "manifestDigest": X, "strategy": X,
        "status": { "name": "paused", "reason": X }, "contained": [], "waiting": [{ "code": "signature", "text": X, "who": [X], "how": [X] }],
        "phases": [{ "name": X, "status": { "name": X }, "devices": devices, "maxErrorRatePercent": 1.0, "hospitals": [X], "validationRole": X }],
        "consents": [{ "hospitalId": X, "givenBy": null, "givenAt": null }],
        "duties": [{ "kind": X, "dueAt": 1, "draft": X, "fulfilled": null }],
    })
}

fn evidence() -> Value {
    let entry = record().to_string();
    json!({
        "format": X, "about": X, "madeAt": X, "logKey": X, "witnessKeys": [X], "witnessThreshold": 1, "trustRoots": [X], "roster": X,
        "checkpoint": format!("{X}\n4\n{}\n\n\u{2014} {X} AAAA\n", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        "records": [{ "index": 3, "entry": entry, "proof": ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] }],
    })
}

/// What the API answers to a path; `null` for what no page of these asks.
pub(super) fn answer(_: &Method, path: &str) -> Value {
    let user = json!({
        "userId": "u", "printedName": X, "roles": [X], "hospitalId": X, "secondFactor": true, "disabled": false,
        "identity": { "by": X, "evidence": X, "verifiedAt": AT }, "trainedUntil": AT, "passwordSetAt": AT,
    });
    let token = json!({ "tokenId": "t", "userId": "u", "name": X, "permissions": [X], "madeAt": AT, "expiresAt": AT });
    let hook = json!({ "webhookId": "h", "url": X, "kinds": [X], "hospitalIds": [X], "lastError": X });
    let rule = json!({ "kinds": [X], "roles": [X], "hospitals": [X], "email": true, "waits": { "codes": [X], "afterMinutes": 3 } });
    let hold = json!({ "object": X, "by": X, "at": AT, "reason": X });
    let disposal = json!({
        "judgedAt": AT, "logSize": 4, "entries": 2, "listSha256": X, "proposedBy": X, "confirmedBy": null, "carriedOutAt": null,
    });
    let incident =
        json!({ "incidentId": X, "title": X, "decision": null, "openedAt": AT, "dueAt": AT, "closed": null });
    let recall = json!({ "recallId": X, "outstanding": [], "closedAt": null });
    let past = json!({ "object": format!("device/{X}"), "logSize": 3, "state": { X: X } });
    match path.strip_prefix("/api/v1").unwrap_or_default() {
        "/me" => me(),
        "/me/notices" => json!([{
            "noticeId": X, "kind": X, "at": AT, "object": X, "subject": X, "detail": X, "logIndex": 3, "read": false,
        }]),
        "/me/tokens" | "/tokens" => json!([token]),
        "/users" => json!([user]),
        "/users/u" => user,
        "/roles" => json!([{ "role": X, "permissions": [{ "permission": X, "secondFactor": true, "person": true }] }]),
        "/settings" => json!({ "passwordDays": 3, "trainingRequired": true, "notices": [rule] }),
        "/webhooks" => json!([hook]),
        "/notices/dead-letters" => json!([{
            "deliveryId": X, "channel": X, "to": X, "kind": X, "subject": X, "attempts": 3, "lastError": X, "givenUpAt": AT,
        }]),
        "/compliance/audit-logs" => json!({ "records": [record()], "next": 3, "logSize": 9 }),
        "/compliance/evidence/3" => evidence(),
        "/compliance/retention" => json!({
            "terms": { "auditYears": 7, "deviceYearsAfterLife": 7, "deploymentYears": 10 }, "holds": { X: hold.clone(), "h": hold },
            "disposals": { X: disposal.clone(), "d": disposal },
        }),
        "/compliance/log/status" => json!({
            "logSize": 9, "publishedSize": 9, "writable": true, "room": X, "scrubbedAt": AT, "scrubbedEntries": 9,
            "damage": [{ "file": X, "position": 1, "entry": 1, "what": X }], "lastRecordAt": AT, "clockBehindSeconds": 0,
        }),
        "/compliance/log/checkpoint" => evidence()["checkpoint"].clone(),
        "/metrics" => format!("mdfm_expires_seconds{{what=\"{X}\"}} 5\n").into(),
        "/health" => json!({ "status": "ok", "version": X, "logSize": 9 }),
        "/readiness" => json!({ "ready": true, "writable": true }),
        "/trust" => json!({ "warnings": [X], "cosignedAt": AT }),
        "/fleet-link" => json!({
            "gateways": { "online": 1, "silent": 1, "offline": 1, "unknown": 1 }, "directives": { "issued": 1, "followed": 1 },
            "connections": { "open": 1, X: 2 }, "intake": { X: 1 },
        }),
        "/openapi.json" => {
            json!({ "components": { "schemas": { "NoticeKind": { "enum": [X] }, "AccessRole": { "enum": [X] } } } })
        }
        "/deployments" => json!([deployment()]),
        "/deployments/d/summary" => deployment(),
        "/incidents" => json!([incident]),
        "/recalls" => json!([recall]),
        "/approvals" => json!([{ "firmwareId": X, "version": X, "deviceModel": X, "missingApprovals": [X] }]),
        path if path.starts_with("/compliance/states/") => past,
        path if path.starts_with("/compliance/differences/") => {
            json!({ "object": format!("device/{X}"), "from": past, "to": past, "changes": [{ "path": X, "before": X, "after": { X: X } }] })
        }
        _ => Value::Null,
    }
}
