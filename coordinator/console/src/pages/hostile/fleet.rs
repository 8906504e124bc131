//! The API of the fleet, every text of it hostile: devices, hospitals, gateways, groups, recalls, incidents.

use axum::http::Method;
use serde_json::{Value, json};

use super::{AT, X};

fn device() -> Value {
    json!({
        "deviceId": X, "modelNumber": X, "serialNumber": X, "udi": X, "hospitalId": X, "gatewayId": X,
        "currentFirmwareVersion": X, "runningSha256": X, "presence": X, "lastAttachedAt": AT, "inUse": null, "securityFloor": 3,
        "installState": X, "detail": X, "rollbackMs": 5, "lastError": X, "deploymentId": X, "recallId": X,
        "retiredAt": null, "hardwareRevision": X, "expectedFirmwareVersion": X, "differs": [X],
        "observed": { "gatewayId": X, "present": true, "modelNumber": X, "serialNumber": X, "hardwareRevision": X, "firmwareVersion": X,
            "sha256": X, "bootCount": 1, "unorderedReboots": 0, "recentReboots": 0, "lastRebootAt": null, "since": AT, "reportedAt": AT },
        "differences": [{ "kind": X, "registered": X, "observed": X, "since": AT, "expectedBy": X, "reason": X }],
        "waiting": { "code": X, "text": X, "since": AT, "until": null, "who": X, "how": X },
    })
}

fn deployment() -> Value {
    json!({
        "deploymentId": X, "firmwareId": X, "createdBy": X, "createdAt": AT, "strategy": X, "status": { "name": X }, "currentPhase": 1,
        "consents": [{ "hospitalId": X, "givenBy": null, "givenAt": null }, { "hospitalId": "H-2", "givenBy": X, "givenAt": AT }],
        "phases": [{ "name": X, "hospitals": [X], "status": { "name": X }, "monitoringDurationMs": 5 }],
    })
}

/// The objects of one list of the API.
fn object(kind: &str) -> Value {
    let window = json!({ "dayOfWeek": X, "startTime": X, "endTime": X, "timezone": X });
    let next = json!({ "opensAt": AT, "closesAt": AT, "opensLocal": X, "closesLocal": X });
    match kind {
        "devices" => device(),
        "hospitals" => {
            json!({ "hospitalId": X, "name": X, "cohort": X, "timezone": X, "consentRequired": true, "maintenanceWindows": [window], "nextWindows": [next] })
        }
        "cohorts" => json!({ "cohort": X, "hospitals": [X], "devices": 1 }),
        "gateways" => {
            json!({ "gatewayId": X, "hospitalId": X, "enrolled": true, "revoked": false, "telemetrySequence": 1, "telemetryEpoch": 1, "telemetry": X,
            "telemetrySince": AT, "epochsBegun": 0, "directiveSerial": 1, "withdrawalsVersion": null, "presence": X, "lastHeartbeatAt": AT, "findings": 1,
            "anomalies": [{ "kind": X, "at": AT, "epoch": 1, "sequence": 1, "expected": 1, "stands": true }], "unregisteredDevices": [X] })
        }
        "groups" => json!({ "groupId": X, "name": X, "query": X, "listed": null }),
        "recalls" => {
            json!({ "recallId": X, "criteria": { "model": X }, "action": X, "reason": X, "openedBy": X, "openedAt": AT, "firmware": [X], "found": 1,
            "outstanding": [{ "deviceId": X, "hospitalId": X, "firmwareVersion": X, "lastSeen": AT, "away": true, "needWords": X, "orderId": X }],
            "needs": { "none": 0, "ordered": 0, "order": 1, "orderByTwoRoles": 0 }, "closedBy": null, "closedAt": null })
        }
        "incidents" => {
            json!({ "incidentId": X, "title": X, "description": X, "outcome": X, "deviceIds": [X], "hospitalIds": [X], "deploymentId": X, "openedBy": X, "openedAt": AT,
            "decision": { "reportable": true, "urgent": true, "by": X, "at": AT, "reason": X }, "notes": [{ "by": X, "at": AT, "text": X }], "dueAt": AT, "report": X, "closed": null })
        }
        "deployments" => deployment(),
        "firmware" => {
            json!({ "firmwareId": X, "version": X, "deviceModel": X, "releaseNotes": X, "recallWindowDays": 14.0, "manifest": null })
        }
        "users" => json!({ "userId": X, "printedName": X, "email": X }),
        _ => Value::Null,
    }
}

/// The API's answer to a request.
pub(super) fn answer(method: &Method, path: &str) -> Value {
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    let record = json!({ "index": 1, "at": AT, "actor": { "kind": X, "id": X, "roles": [X] }, "action": X, "outcome": X, "reason": X });
    match parts[..] {
        ["me"] => {
            json!({ "userId": X, "printedName": X, "roles": [X], "hospitalId": null, "cannotSign": X, "secondFactor": true, "trial": false,
            "permissions": ["manageFleet", "consent", "recall", "reportIncident", "read", "readAll", "readAudit"], "session": { "idleEndsAt": AT, "endsAt": AT } })
        }
        ["fleet", "counts"] => {
            json!({ "devices": 1, "retired": 0, "differing": 1, "differences": { (X): 1 }, "silent": 1, "presence": { "attached": 0, "detached": 0, "unreachable": 0, "unknown": 1 },
            "counts": [{ "modelNumber": X, "currentFirmwareVersion": X, "hospitalId": X, "installState": X, "devices": 1, "silent": 1 }],
            "floors": [{ "modelNumber": X, "securityFloor": 1, "devices": 1 }] })
        }
        ["fleet", "selection"] => json!({ "devices": 1, "hospitals": { (X): 1 }, "first": [X] }),
        ["fleet", "versions"] => {
            json!({ "times": [AT, "2036-01-01T00:00:00Z"], "models": [{ "modelNumber": X, "devices": [1, 1], "versions": [{ "version": X, "devices": [1, 1] }] }],
            "deployments": [{ "deploymentId": X, "firmwareId": X, "modelNumber": X, "version": X, "at": AT }] })
        }
        [.., "figures"] => {
            json!([{ "phase": 1, "name": X, "maxErrorRatePercent": 1.0,
            "figures": [{ "at": AT, "observed": 1, "failed": 1, "errorRatePercent": 100.0, "upperBoundPercent": 100.0, "proved": false }] }])
        }
        ["fleet-link"] => {
            json!({ "gateways": { "online": 0, "silent": 0, "offline": 0, "unknown": 1 }, "directives": { "issued": 1, "followed": 0 }, "connections": { "open": 1 }, "intake": { "taken": 1 } })
        }
        ["recalls"] if method == Method::POST => {
            json!({ "devices": 1, "releases": [{ "firmwareId": X, "version": X, "status": X, "isWithdrawnByIt": true }],
            "hospitals": [{ "hospitalId": X, "devices": [X] }], "deployments": [{ "deploymentId": X, "isRolledBack": true }] })
        }
        ["gateways", _, "enrolment-tokens"] => json!({ "token": X, "expiresAt": AT }),
        ["gateways", _, "telemetry"] => {
            json!({ "taken": 1, "known": 0, "refused": X, "head": { "topic": X, "payload": X }, "acknowledgement": null })
        }
        ["devices", "import"] => json!({ "dryRun": true, "rows": 1, "registered": 0 }),
        [.., "history"] | ["compliance", "audit-logs"] => json!({ "records": [record], "next": 1, "logSize": 2 }),
        ["deployments", _, "summary"] => deployment(),
        ["deployments", _, "devices"] => {
            json!([{ "deviceId": X, "firmwareVersion": X, "state": X, "waiting": { "text": X } }])
        }
        ["groups", _, "devices"] => json!([device()]),
        [kind] => json!([object(kind)]),
        [kind, _] => object(kind),
        _ => Value::Null,
    }
}
