PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO goose_db_version VALUES(1,0,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(2,1,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(3,3,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(4,4,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(5,10,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(6,11,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(7,20,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(8,30,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(9,40,1,'2026-11-27 21:59:17');
INSERT INTO goose_db_version VALUES(10,41,1,'2026-11-27 21:59:17');
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);
INSERT INTO settings VALUES('master_key_check',X'2d8b4f3b55ade044f626252a0547d542b2e19633ec2bdc8f6a5cabb3a7ba27ee');
INSERT INTO settings VALUES('operator',X'7573725f30316d3866676136383766723676787135387879666e66746a72');
CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    email          TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    password_hash  TEXT NOT NULL,
    email_verified BOOLEAN NOT NULL,
    operator       BOOLEAN NOT NULL,
    status         TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at     BIGINT NOT NULL
);
INSERT INTO users VALUES('usr_01m8fga687fr6vxq58xyfnftjr','ada@example.com','ada','$argon2id$v=19$m=19456,t=2,p=1$fS0/MrnC+yCrnNoEWUihvw$32+Qgz672QOZHWafoZsXXO/fyZUYlStiPb8kKL1ujwQ',0,1,'active',1795816757511997);
INSERT INTO users VALUES('usr_01m8fga6a9em09nqrm86j9k1xg','bob@example.com','bob','$argon2id$v=19$m=19456,t=2,p=1$qlWOynENMJ7JarYRsWEyxA$LbkEBTaMDfjBhSXp9v1tDQ03lLTXdqLg07SFiHU7PF8',0,0,'active',1795816757577955);
INSERT INTO users VALUES('usr_01m8fga72hftsrc12j4gchrzp6','cara@example.com','','$argon2id$v=19$m=19456,t=2,p=1$BVdstOnLcO+ghECglYSp2w$wlGubRx6I+O1zoeg3df50A7wCB7LxOhuMn2G7jIYZPE',0,0,'active',1795816758353630);
CREATE TABLE sessions (
    id              TEXT PRIMARY KEY,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    ip              TEXT NOT NULL,
    user_agent      TEXT NOT NULL,
    refresh_digest  BYTEA NOT NULL,
    previous_digest BYTEA NOT NULL
, rotated_at BIGINT);
INSERT INTO sessions VALUES('ses_01m8fga688f7t96gbhy1v1epyr','usr_01m8fga687fr6vxq58xyfnftjr',1795816757512964,1795816758382202,1798408757512964,'127.0.0.1','curl/7.88.1',X'4b7cf740b6634bd7058f64193c0c4f02b37ec0d0539c0456d9deb297e99861a8',X'ca5c3ff9449889096e473f6be9861645b2872f16571f6bfbd620515a9c1c9077',1795816758382202);
INSERT INTO sessions VALUES('ses_01m8fga6aaexjsjmv6r522rtcc','usr_01m8fga6a9em09nqrm86j9k1xg',1795816757578401,1795816757578401,1798408757578401,'127.0.0.1','curl/7.88.1',X'24db4b8cdc8e51ac5c6af51106281b982fb0f631ae2d8ec4e7009ff49670b632',X'',NULL);
INSERT INTO sessions VALUES('ses_01m8fga72jepsv1x0wqtjbx7qm','usr_01m8fga72hftsrc12j4gchrzp6',1795816758354352,1795816758354352,1798408758354352,'127.0.0.1','curl/7.88.1',X'98073eb8d792837e833e6f7a4210904e8eabc4101157cddcdf28761946f27628',X'',NULL);
INSERT INTO sessions VALUES('ses_01m8fga74fe99rzk8ywbtxgxqa','usr_01m8fga6a9em09nqrm86j9k1xg',1795816758415035,1795816758415035,1798408758415035,'127.0.0.1','curl/7.88.1',X'3b3009d225b9fabf59011b25646e673339e699cd413f7e5666c109a22976919d',X'',NULL);
INSERT INTO sessions VALUES('ses_01m8fga75efzesa2pcwpsc0mxa','usr_01m8fga6a9em09nqrm86j9k1xg',1795816758446302,1795816758446302,1798408758446302,'127.0.0.1','curl/7.88.1',X'2a984c98335f9873e63ce65ce32ed645e64cecb337333fa23a345a753e9070b2',X'',NULL);
CREATE TABLE signing_keys (
    id             TEXT PRIMARY KEY,
    sealed_private BYTEA NOT NULL,
    created_at     BIGINT NOT NULL
);
INSERT INTO signing_keys VALUES('3w-Uizx-jxDpofNuVvbFcxRy4bEJSg6lE2dNfbIT6_8',X'9c7e538205dda17572ebbc8251d0f193fd230207209ab5d94663e92a8be463d538c1f64c7905b5cd92b0805d44c266d6a441c8aac200b2af80cfe708',1795816757388640);
CREATE TABLE organizations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    slug       TEXT NOT NULL UNIQUE,
    status     TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
, deleted_at BIGINT);
INSERT INTO organizations VALUES('org_01m8fga6b6ex6sc8ttfr8qc5jt','Acme','acme','active',1795816757606785,1795816757606785,1,NULL);
CREATE TABLE memberships (
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role            TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'admin', 'owner')),
    joined_at       BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
INSERT INTO memberships VALUES('org_01m8fga6b6ex6sc8ttfr8qc5jt','usr_01m8fga687fr6vxq58xyfnftjr','owner',1795816757606785);
INSERT INTO memberships VALUES('org_01m8fga6b6ex6sc8ttfr8qc5jt','usr_01m8fga6a9em09nqrm86j9k1xg','developer',1795816758288934);
CREATE TABLE projects (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    slug            TEXT NOT NULL,
    key_prefix      TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    revision        BIGINT NOT NULL, deleted_at BIGINT,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, slug)
);
INSERT INTO projects VALUES('prj_01m8fga6bqf5crrkpcrdpqf9zn','org_01m8fga6b6ex6sc8ttfr8qc5jt','API','api','lk','active',1795816757623476,1795816757623476,1,NULL);
INSERT INTO projects VALUES('prj_01m8fga6n1eh8t6zgqfjak6jk8','org_01m8fga6b6ex6sc8ttfr8qc5jt','Closed','closed','lk','disabled',1795816757921547,1795816757968614,2,NULL);
CREATE TABLE api_keys (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    name            TEXT NOT NULL,
    prefix          TEXT NOT NULL,
    environment     TEXT NOT NULL CHECK (environment IN ('live', 'test')),
    scopes          JSONB NOT NULL,
    external_id     TEXT NOT NULL,
    metadata        JSONB NOT NULL,
    created_at      BIGINT NOT NULL,
    created_by_kind TEXT NOT NULL,
    created_by_id   TEXT NOT NULL,
    created_by_name TEXT NOT NULL,
    expires_at      BIGINT,
    revoked_at      BIGINT,
    revoked_reason  TEXT NOT NULL,
    rotated_at      BIGINT,
    revision        BIGINT NOT NULL, retiring_prefix TEXT NOT NULL DEFAULT '', retiring_until BIGINT,
    UNIQUE (project_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id) ON DELETE CASCADE
);
INSERT INTO api_keys VALUES('key_01m8fga6ctf1ftxxnc7gj8hf7r','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','plain','lk_live_DJ5gwkpEYrxJ','live','[]','','{}',1795816757658784,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',NULL,1,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6dpey3rtrpwef2tpd41','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','rich','lk_test_SQUSZcmUYBno','test','["keys:read","keys:verify","documents:read"]','cust_7','{"plan":"gold"}',1795816757686903,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',4073544000000000,NULL,'',1795816758024814,2,'lk_test_3eGFEUpUEXRT',1795903158024814);
INSERT INTO api_keys VALUES('key_01m8fga6ehfas83n4xw80w186v','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','rotated','lk_live_uUNq0u8toVco','live','[]','','{}',1795816757713591,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',1795816757756635,2,'lk_live_H0eHGsfVEt2k',1795903157756635);
INSERT INTO api_keys VALUES('key_01m8fga6grf1f9t3zcmxjwff8r','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','revoked','lk_live_mOkFqqnCWxPi','live','[]','','{}',1795816757784043,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,1795816757829242,'lost',NULL,2,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6jeea79rycd6e45vaqg','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','expired','lk_live_L37FJip6j3eW','live','[]','','{}',1795816757838103,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',1767225600000000,NULL,'',NULL,1,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6nmfdpta9mxz92b4qz1','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6n1eh8t6zgqfjak6jk8','closed','lk_live_Pc7AxXBP1UzC','live','[]','','{}',1795816757940232,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',NULL,1,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6ptewbsm2d4b2023pda','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','repeated','lk_live_FMAH00AYJQWB','live','[]','','{}',1795816757978745,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',NULL,1,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6xve1qsqt2ww5angmgb','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','django-sha512','Abcdefgh','live','[]','','{}',1795816758203283,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',NULL,1,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6xvfverjmwj0tps02wm','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','django-pbkdf2-sha256','Ijklmnop','live','[]','','{}',1795816758203300,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',NULL,1,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6xvf0hvwafjpwk7kjb4','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','sha256-hex','','live','[]','','{}',1795816758203304,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',NULL,1,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6xveewb3q0zdmw9gcaq','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','sha256-hex','','live','[]','','{}',1795816758203311,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',NULL,1,'',NULL);
INSERT INTO api_keys VALUES('key_01m8fga6xve6v829v49350n66n','org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','sha256-base64url','','live','[]','','{}',1795816758203319,'user','usr_01m8fga687fr6vxq58xyfnftjr','ada',NULL,NULL,'',NULL,1,'',NULL);
CREATE TABLE api_key_secrets (
    token_id       TEXT PRIMARY KEY,
    project_id     TEXT NOT NULL,
    key_id         TEXT NOT NULL,
    prefix         TEXT NOT NULL,
    algorithm      TEXT NOT NULL,
    pepper_version BIGINT NOT NULL,
    digest         BYTEA NOT NULL,
    created_at     BIGINT NOT NULL,
    valid_until    BIGINT, lookup TEXT, parameters TEXT, import_digest BYTEA, import_batch BIGINT,
    FOREIGN KEY (project_id, key_id) REFERENCES api_keys (project_id, id) ON DELETE CASCADE
);
INSERT INTO api_key_secrets VALUES('DJ5gwkpEYrxJ','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6ctf1ftxxnc7gj8hf7r','lk_live_DJ5gwkpEYrxJ','hmac-sha256',1,X'1360f933f9445edb6aae8cedba83744d9028c98aee96fffe54a9f8a972e9022d',1795816757658784,NULL,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('3eGFEUpUEXRT','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6dpey3rtrpwef2tpd41','lk_test_3eGFEUpUEXRT','hmac-sha256',1,X'8a07633cadc06c1ffc7b13b0fb74758c21d60f932332ec3b06c8b46d2cf938b6',1795816757686903,1795903158024814,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('H0eHGsfVEt2k','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6ehfas83n4xw80w186v','lk_live_H0eHGsfVEt2k','hmac-sha256',1,X'd56fdd3ef083fc2023d6ad820abc0274a730cc456155688c692b5fcec6ec4ac7',1795816757713591,1795903157756635,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('uUNq0u8toVco','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6ehfas83n4xw80w186v','lk_live_uUNq0u8toVco','hmac-sha256',1,X'ecf80cd38cb7a149d947db4a7a9fc67e0e5c0ae7438fc88ffcea649c557edfbf',1795816757756635,NULL,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('mOkFqqnCWxPi','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6grf1f9t3zcmxjwff8r','lk_live_mOkFqqnCWxPi','hmac-sha256',1,X'7443d723639b90d91b5e884e081a01799c2506c376594863ea3d91d3a9c5a340',1795816757784043,NULL,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('L37FJip6j3eW','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6jeea79rycd6e45vaqg','lk_live_L37FJip6j3eW','hmac-sha256',1,X'5883e621e3b3d62d53ae8386438b2364abb75278ba60640e96af8fe2b4272248',1795816757838103,NULL,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('Pc7AxXBP1UzC','prj_01m8fga6n1eh8t6zgqfjak6jk8','key_01m8fga6nmfdpta9mxz92b4qz1','lk_live_Pc7AxXBP1UzC','hmac-sha256',1,X'bbb698d664f733b55f0a559cc608e89e744c4a12662d1ac00d1f2fba62d6bd13',1795816757940232,NULL,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('FMAH00AYJQWB','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6ptewbsm2d4b2023pda','lk_live_FMAH00AYJQWB','hmac-sha256',1,X'f0a40496b9c6378f07008417afc098916fc292ccd19ee3eee2dc4e1f1cb1f7a6',1795816757978745,NULL,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('SQUSZcmUYBno','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6dpey3rtrpwef2tpd41','lk_test_SQUSZcmUYBno','hmac-sha256',1,X'a2b5a4dd46d3adc71d5c517ca8d769a84eac00abfcdf9b92067515402355a524',1795816758024814,NULL,NULL,NULL,NULL,NULL);
INSERT INTO api_key_secrets VALUES('2iDT2GSzebxy','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6xve1qsqt2ww5angmgb','Abcdefgh','django-sha512',1,X'7cb0dd25362c663a06b6521f0399c118e0ce09543f494218b0e9a7f1301367a1',1795816758203283,NULL,'django:Abcdefgh',NULL,X'3fe5214497c67211eeb7a3306a1279460650efe94c76d5ea41bbcc2fb295953a',1);
INSERT INTO api_key_secrets VALUES('HK2Cc3hjbCbu','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6xvfverjmwj0tps02wm','Ijklmnop','django-pbkdf2-sha256',1,X'd7a4bf4aa9f9ec14eaf113a7c95cac6383cef4da9f97859ef098b615b4cb90cd',1795816758203300,NULL,'django:Ijklmnop','1000$salt',X'2b7c476dde73575383cbacebe98d8e1e4ca278503f886267aa090b9c4ad6ca19',1);
INSERT INTO api_key_secrets VALUES('PQsEqAA8Jycq','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6xvf0hvwafjpwk7kjb4','','sha256-hex',1,X'0ed2363e5a92e66ddc97e8048cff459031ab9c04209e762ce0fb35502d84db98',1795816758203304,NULL,'sha256:b7b8ce0d72bec3d187ecb154307fa9d2502935ce0479505956e6edee18f68e00',NULL,X'e2f65154913ccdd0edf040618ff4e0b665186d90379894b18f3d839446e8cbfc',1);
INSERT INTO api_key_secrets VALUES('P6d4BYehTGMl','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6xveewb3q0zdmw9gcaq','','hmac-sha256',1,X'4a493b55b57b48373e213a5bbca751d6f448af0f8cab63984005433d3bcc8aec',1795816758203311,NULL,'sha256:03b8ce4151169957c78aba1e66aa64f817b586b6d2ab2d78d7ba4b93d8981a01',NULL,X'0de26f68e98ba1470a6c09fc9ad9d93e2ef33a26eed76d684e563c46b8a3e5c8',1);
INSERT INTO api_key_secrets VALUES('WZEM7tV9Yq84','prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6xve6v829v49350n66n','','sha256-base64url',1,X'73fa62e0721230c9892d021dad3aee967221bc7e448561771055f6db6dafcd89',1795816758203319,NULL,'sha256:2c57ed1ba496c8dfc425878472eb3798436db1571ff29268841277eeb116f8f4',NULL,X'4c91321166cf9845d4d66bd4749f1b2045533169f5b0bbf5388eb4ee310b3ab9',1);
CREATE TABLE api_key_usage (
    project_id    TEXT NOT NULL,
    key_id        TEXT NOT NULL,
    token_id      TEXT NOT NULL,
    first_used_at BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL,
    PRIMARY KEY (key_id, token_id),
    FOREIGN KEY (project_id, key_id) REFERENCES api_keys (project_id, id) ON DELETE CASCADE
);
INSERT INTO api_key_usage VALUES('prj_01m8fga6bqf5crrkpcrdpqf9zn','key_01m8fga6xveewb3q0zdmw9gcaq','P6d4BYehTGMl',1795816758214452,1795816758214452);
CREATE TABLE audit_events (
    id              TEXT PRIMARY KEY,
    at              BIGINT NOT NULL,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    project_id      TEXT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    action          TEXT NOT NULL,
    target_kind     TEXT NOT NULL,
    target_id       TEXT NOT NULL,
    target_name     TEXT NOT NULL,
    ip              TEXT NOT NULL,
    user_agent      TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    changes         JSONB NOT NULL
);
INSERT INTO audit_events VALUES('evt_01m8fga688ezjrnjp5e7qc6r31',1795816757512630,NULL,'','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','user.created','user','usr_01m8fga687fr6vxq58xyfnftjr','ada@example.com','127.0.0.1','curl/7.88.1','RKM7TJ5FDLGSQFXL5CKYPNTXDG','{}');
INSERT INTO audit_events VALUES('evt_01m8fga6aaf47830hscm6wq5ae',1795816757578312,NULL,'','user','usr_01m8fga6a9em09nqrm86j9k1xg','bob','user.created','user','usr_01m8fga6a9em09nqrm86j9k1xg','bob@example.com','127.0.0.1','curl/7.88.1','TBQM3YA5ADI2PMBQGMSJL5MSAE','{}');
INSERT INTO audit_events VALUES('evt_01m8fga6b7evj8x2t1rgjhyndn',1795816757607187,'org_01m8fga6b6ex6sc8ttfr8qc5jt','','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','organization.created','organization','org_01m8fga6b6ex6sc8ttfr8qc5jt','Acme','127.0.0.1','curl/7.88.1','KB52UKWZB7MUT6TOLJLPCIPWPF','{"name":[null,"Acme"],"slug":[null,"acme"],"status":[null,"active"]}');
INSERT INTO audit_events VALUES('evt_01m8fga6bqf63tvn31qscfncsp',1795816757623780,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','project.created','project','prj_01m8fga6bqf5crrkpcrdpqf9zn','API','127.0.0.1','curl/7.88.1','RJB5MWOWKLIGIL4YFIO2UA3JEC','{"key_prefix":[null,"lk"],"name":[null,"API"],"slug":[null,"api"],"status":[null,"active"]}');
INSERT INTO audit_events VALUES('evt_01m8fga6cvea7t9434asjycxcv',1795816757659390,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.created','key','key_01m8fga6ctf1ftxxnc7gj8hf7r','plain','127.0.0.1','curl/7.88.1','P3LSUW6MYRCMJZRO5XQXDUAQRE','{"environment":[null,"live"],"external_id":[null,""],"metadata":[null,{}],"name":[null,"plain"],"prefix":[null,"lk_live_DJ5gwkpEYrxJ"],"revoked_reason":[null,""],"scopes":[null,[]]}');
INSERT INTO audit_events VALUES('evt_01m8fga6dqe2jst2mz7gjx4cha',1795816757687390,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.created','key','key_01m8fga6dpey3rtrpwef2tpd41','rich','127.0.0.1','curl/7.88.1','FHBUI6QX7TQDKD7BJS6Q3BVHTF','{"environment":[null,"test"],"expires_at":[null,"2099-01-31T12:00:00Z"],"external_id":[null,"cust_7"],"metadata":[null,{"plan":"gold"}],"name":[null,"rich"],"prefix":[null,"lk_test_3eGFEUpUEXRT"],"revoked_reason":[null,""],"scopes":[null,["keys:read","keys:verify","documents:read"]]}');
INSERT INTO audit_events VALUES('evt_01m8fga6ejf4g8nezpy8m5ypqx',1795816757714170,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.created','key','key_01m8fga6ehfas83n4xw80w186v','rotated','127.0.0.1','curl/7.88.1','KJALE4S2M3IS4EOO5N7NZZFZOG','{"environment":[null,"live"],"external_id":[null,""],"metadata":[null,{}],"name":[null,"rotated"],"prefix":[null,"lk_live_H0eHGsfVEt2k"],"revoked_reason":[null,""],"scopes":[null,[]]}');
INSERT INTO audit_events VALUES('evt_01m8fga6fxe5waygnn705rjnax',1795816757757022,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.rotated','key','key_01m8fga6ehfas83n4xw80w186v','rotated','127.0.0.1','curl/7.88.1','46F6QMB22EHZIWZ246L3WCZ32G','{"prefix":["lk_live_H0eHGsfVEt2k","lk_live_uUNq0u8toVco"],"retiring_until":[null,"2026-11-28T21:59:17.756635Z"]}');
INSERT INTO audit_events VALUES('evt_01m8fga6grfp792hacf2wjnng7',1795816757784782,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.created','key','key_01m8fga6grf1f9t3zcmxjwff8r','revoked','127.0.0.1','curl/7.88.1','FEW5VRMYECYZJBXYHLYSLOV2OF','{"environment":[null,"live"],"external_id":[null,""],"metadata":[null,{}],"name":[null,"revoked"],"prefix":[null,"lk_live_mOkFqqnCWxPi"],"revoked_reason":[null,""],"scopes":[null,[]]}');
INSERT INTO audit_events VALUES('evt_01m8fga6j5e9zbcxejzvg0pbfd',1795816757829416,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.revoked','key','key_01m8fga6grf1f9t3zcmxjwff8r','revoked','127.0.0.1','curl/7.88.1','JDD42N3DXVWUIG2UNNB3ZIG4ND','{"revoked_at":[null,"2026-11-27T21:59:17.829242Z"],"revoked_reason":["","lost"]}');
INSERT INTO audit_events VALUES('evt_01m8fga6jefw0agn7zf9pjgdc0',1795816757838583,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.created','key','key_01m8fga6jeea79rycd6e45vaqg','expired','127.0.0.1','curl/7.88.1','DO7EILFIU47EDROAE6VEWXDR5F','{"environment":[null,"live"],"expires_at":[null,"2026-01-01T00:00:00Z"],"external_id":[null,""],"metadata":[null,{}],"name":[null,"expired"],"prefix":[null,"lk_live_L37FJip6j3eW"],"revoked_reason":[null,""],"scopes":[null,[]]}');
INSERT INTO audit_events VALUES('evt_01m8fga6kbffw8vqrag109ynaq',1795816757867049,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.created','key','key_01m8fga6kaec6s22yvwhaf8sr6','deleted','127.0.0.1','curl/7.88.1','4K6E3Z6P2GR2LRLZFCRSODWZQA','{"environment":[null,"live"],"external_id":[null,""],"metadata":[null,{}],"name":[null,"deleted"],"prefix":[null,"lk_live_nelH8JHgPbh1"],"revoked_reason":[null,""],"scopes":[null,[]]}');
INSERT INTO audit_events VALUES('evt_01m8fga6mre9dsg62yykv9vka9',1795816757912088,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.deleted','key','key_01m8fga6kaec6s22yvwhaf8sr6','deleted','127.0.0.1','curl/7.88.1','IBLFFWUHGRVIWEJSHKV7SMXBIG','{}');
INSERT INTO audit_events VALUES('evt_01m8fga6n1e8798q9f1q5gxsfm',1795816757921884,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6n1eh8t6zgqfjak6jk8','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','project.created','project','prj_01m8fga6n1eh8t6zgqfjak6jk8','Closed','127.0.0.1','curl/7.88.1','UMFXYL7XZGRCE6DNUP2F2VWGHC','{"key_prefix":[null,"lk"],"name":[null,"Closed"],"slug":[null,"closed"],"status":[null,"active"]}');
INSERT INTO audit_events VALUES('evt_01m8fga6nmf2vah8a7w1hdh3dq',1795816757940636,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6n1eh8t6zgqfjak6jk8','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.created','key','key_01m8fga6nmfdpta9mxz92b4qz1','closed','127.0.0.1','curl/7.88.1','ZJBUSQORQESMJWRIPMON7XT2KH','{"environment":[null,"live"],"external_id":[null,""],"metadata":[null,{}],"name":[null,"closed"],"prefix":[null,"lk_live_Pc7AxXBP1UzC"],"revoked_reason":[null,""],"scopes":[null,[]]}');
INSERT INTO audit_events VALUES('evt_01m8fga6pgf0mbart16rp0nj95',1795816757968810,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6n1eh8t6zgqfjak6jk8','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','project.updated','project','prj_01m8fga6n1eh8t6zgqfjak6jk8','Closed','127.0.0.1','curl/7.88.1','7IJGA6VZZ6DSGWIDPC7URJEMSG','{"status":["active","disabled"]}');
INSERT INTO audit_events VALUES('evt_01m8fga6pvf4yap0020s07pbd3',1795816757979664,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.created','key','key_01m8fga6ptewbsm2d4b2023pda','repeated','127.0.0.1','curl/7.88.1','LZKTGZTESHS5D7WGVAP5ZAJ7ZG','{"environment":[null,"live"],"external_id":[null,""],"metadata":[null,{}],"name":[null,"repeated"],"prefix":[null,"lk_live_FMAH00AYJQWB"],"revoked_reason":[null,""],"scopes":[null,[]]}');
INSERT INTO audit_events VALUES('evt_01m8fga6r9fr6tegkm3fq3a2qz',1795816758025253,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','key.rotated','key','key_01m8fga6dpey3rtrpwef2tpd41','rich','127.0.0.1','curl/7.88.1','PZ4LATJEVD2M5YXBQLZ5MWGPLC','{"prefix":["lk_test_3eGFEUpUEXRT","lk_test_SQUSZcmUYBno"],"retiring_until":[null,"2026-11-28T21:59:18.024814Z"]}');
INSERT INTO audit_events VALUES('evt_01m8fga6xwfgt9jcta7v624p2h',1795816758204864,'org_01m8fga6b6ex6sc8ttfr8qc5jt','prj_01m8fga6bqf5crrkpcrdpqf9zn','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','keys.imported','project','prj_01m8fga6bqf5crrkpcrdpqf9zn','API','127.0.0.1','curl/7.88.1','EBTAB2OWNPL2MG5XYQVIZX4DLA','{"first":[null,"key_01m8fga6xve1qsqt2ww5angmgb"],"imported":[null,5],"last":[null,"key_01m8fga6xve6v829v49350n66n"]}');
INSERT INTO audit_events VALUES('evt_01m8fga6z3f76ats6eys6ar9xy',1795816758243518,'org_01m8fga6b6ex6sc8ttfr8qc5jt','','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','invitation.created','invitation','inv_01m8fga6z3ekn8afq7m7dcjxn6','bob@example.com','127.0.0.1','curl/7.88.1','3XBXPF2RZHEFZPR33L5EHQKQCG','{"email":[null,"bob@example.com"],"expires_at":[null,"2026-12-04T21:59:18.24317Z"],"role":[null,"developer"]}');
INSERT INTO audit_events VALUES('evt_01m8fga70hfd092wd7heb68b7z',1795816758289119,'org_01m8fga6b6ex6sc8ttfr8qc5jt','','user','usr_01m8fga6a9em09nqrm86j9k1xg','bob','member.joined','member','usr_01m8fga6a9em09nqrm86j9k1xg','bob@example.com','127.0.0.1','curl/7.88.1','OKWP33RGEGXD5TUVIA4ZG6DCKB','{"invitation":[null,"inv_01m8fga6z3ekn8afq7m7dcjxn6"],"role":[null,"developer"]}');
INSERT INTO audit_events VALUES('evt_01m8fga70verjb65xw12x0gvyx',1795816758299257,'org_01m8fga6b6ex6sc8ttfr8qc5jt','','user','usr_01m8fga687fr6vxq58xyfnftjr','ada','invitation.created','invitation','inv_01m8fga70vexrvq7hp7f6zpars','cara@example.com','127.0.0.1','curl/7.88.1','CW5OFL5JULWBI4ELTK3YSSZHPG','{"email":[null,"cara@example.com"],"expires_at":[null,"2026-12-04T21:59:18.299089Z"],"role":[null,"viewer"]}');
INSERT INTO audit_events VALUES('evt_01m8fga72jextra5nx5yea7ka1',1795816758354174,NULL,'','user','usr_01m8fga72hftsrc12j4gchrzp6','cara@example.com','user.created','user','usr_01m8fga72hftsrc12j4gchrzp6','cara@example.com','127.0.0.1','curl/7.88.1','US2RT5XXAGBV263YFEL5QMAZCD','{}');
INSERT INTO audit_events VALUES('evt_01m8fga74fe3a9q1qkks1nnb4h',1795816758415377,NULL,'','user','usr_01m8fga6a9em09nqrm86j9k1xg','bob','session.created','session','ses_01m8fga74fe99rzk8ywbtxgxqa','bob@example.com','127.0.0.1','curl/7.88.1','TI4TM6Z6TBFFY4NJ6LPJ3CV6SD','{}');
INSERT INTO audit_events VALUES('evt_01m8fga75eefg9xksaz5xv11mn',1795816758446463,NULL,'','user','usr_01m8fga6a9em09nqrm86j9k1xg','bob','session.created','session','ses_01m8fga75efzesa2pcwpsc0mxa','bob@example.com','127.0.0.1','curl/7.88.1','5IMEAEUE5KYYSUVO7F2IDMCBQX','{}');
CREATE TABLE idempotency_keys (
    caller         TEXT NOT NULL,
    digest         BYTEA NOT NULL,
    fingerprint    BYTEA NOT NULL,
    salt           BYTEA NOT NULL,
    pepper_version BIGINT NOT NULL,
    answer         BYTEA NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (caller, digest)
);
INSERT INTO idempotency_keys VALUES('usr_01m8fga687fr6vxq58xyfnftjr',X'a20003d26de52754b464ef5db1dbd49c8eed1657604618850c0721ae8e4b1ed9',X'8786b14f81117c0c743eef527aa46cfac8664236ab721bbc3ea627c1c975620f',X'ea3805cf3fd076cb88d1a3199122bf6f0a441d6b5b51348594e84030c7a7f7d8',1,X'7b224b6579223a7b224944223a226b65795f30316d38666761367074657762736d3264346232303233706461222c2250726f6a6563744944223a2270726a5f30316d3866676136627166356372726b70637264707166397a6e222c224e616d65223a227265706561746564222c22507265666978223a226c6b5f6c6976655f464d4148303041594a515742222c22456e7669726f6e6d656e74223a226c697665222c2253636f706573223a5b5d2c2245787465726e616c4944223a22222c224d65746164617461223a7b7d2c22437265617465644174223a22323032362d31312d32375432313a35393a31372e3937383734355a222c22437265617465644279223a7b224b696e64223a2275736572222c224944223a227573725f30316d3866676136383766723676787135387879666e66746a72222c224e616d65223a22616461227d2c22457870697265734174223a22303030312d30312d30315430303a30303a30305a222c225265766f6b65644174223a22303030312d30312d30315430303a30303a30305a222c225265766f6b6564526561736f6e223a22222c224c617374557365644174223a22303030312d30312d30315430303a30303a30305a222c22526f74617465644174223a22303030312d30312d30315430303a30303a30305a222c225265746972696e67223a7b22507265666978223a22222c2256616c6964556e74696c223a22303030312d30312d30315430303a30303a30305a227d2c225265766973696f6e223a317d7d',1795816757979027);
INSERT INTO idempotency_keys VALUES('usr_01m8fga687fr6vxq58xyfnftjr',X'9af1fc1cab88be98983ac1847cc5c7523223d73125a490982cc9d7614ccff365',X'cba04abc049b216e99320231499f23118313867e2a9c164b8bc841b37014f695',X'fb6b2c7b745ff8ddf73c9a3ebebe7a6199bd5aaf88429e5de55b277c9a89656d',1,X'7b224b6579223a7b224944223a226b65795f30316d3866676136647065793372747270776566327470643431222c2250726f6a6563744944223a2270726a5f30316d3866676136627166356372726b70637264707166397a6e222c224e616d65223a2272696368222c22507265666978223a226c6b5f746573745f535155535a636d5559426e6f222c22456e7669726f6e6d656e74223a2274657374222c2253636f706573223a5b226b6579733a72656164222c226b6579733a766572696679222c22646f63756d656e74733a72656164225d2c2245787465726e616c4944223a22637573745f37222c224d65746164617461223a7b22706c616e223a22676f6c64227d2c22437265617465644174223a22323032362d31312d32375432313a35393a31372e3638363930335a222c22437265617465644279223a7b224b696e64223a2275736572222c224944223a227573725f30316d3866676136383766723676787135387879666e66746a72222c224e616d65223a22616461227d2c22457870697265734174223a22323039392d30312d33315431323a30303a30305a222c225265766f6b65644174223a22303030312d30312d30315430303a30303a30305a222c225265766f6b6564526561736f6e223a22222c224c617374557365644174223a22303030312d30312d30315430303a30303a30305a222c22526f74617465644174223a22323032362d31312d32375432313a35393a31382e3032343831345a222c225265746972696e67223a7b22507265666978223a226c6b5f746573745f336547464555705545585254222c2256616c6964556e74696c223a22323032362d31312d32385432313a35393a31382e3032343831345a227d2c225265766973696f6e223a327d7d',1795816758024459);
CREATE TABLE import_batches (
    id     BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);
INSERT INTO import_batches VALUES(1,1);
CREATE TABLE ended_imports (
    project_id    TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    import_digest BYTEA NOT NULL,
    PRIMARY KEY (project_id, import_digest)
);
CREATE TABLE invitations (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email           TEXT NOT NULL,
    role            TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'admin', 'owner')),
    invited_by_kind TEXT NOT NULL,
    invited_by_id   TEXT NOT NULL,
    invited_by_name TEXT NOT NULL,
    digest          BYTEA NOT NULL UNIQUE,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    accepted_at     BIGINT
);
INSERT INTO invitations VALUES('inv_01m8fga6z3ekn8afq7m7dcjxn6','org_01m8fga6b6ex6sc8ttfr8qc5jt','bob@example.com','developer','user','usr_01m8fga687fr6vxq58xyfnftjr','ada',X'd0d79beea015da99efbe1ca4a55ff715308d9bda14c88368084c171abfe502f9',1795816758243170,1796421558243170,1795816758288934);
INSERT INTO invitations VALUES('inv_01m8fga70vexrvq7hp7f6zpars','org_01m8fga6b6ex6sc8ttfr8qc5jt','cara@example.com','viewer','user','usr_01m8fga687fr6vxq58xyfnftjr','ada',X'146de9fc47822adda02597e8e8da49e6361b8a98a70d33f53ba281fce47aa85b',1795816758299089,1796421558299089,NULL);
CREATE TABLE mailed_tokens (
    digest     BYTEA PRIMARY KEY,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL
);
CREATE TABLE changes (
    xid    BIGINT NOT NULL,
    kind   TEXT NOT NULL,
    object TEXT NOT NULL
);
INSERT INTO changes VALUES(1,'signing_keys','');
INSERT INTO changes VALUES(2,'token','H0eHGsfVEt2k');
INSERT INTO changes VALUES(3,'token','H0eHGsfVEt2k');
INSERT INTO changes VALUES(4,'token','mOkFqqnCWxPi');
INSERT INTO changes VALUES(5,'token','nelH8JHgPbh1');
INSERT INTO changes VALUES(6,'project','prj_01m8fga6n1eh8t6zgqfjak6jk8');
INSERT INTO changes VALUES(7,'token','3eGFEUpUEXRT');
INSERT INTO changes VALUES(8,'token','3eGFEUpUEXRT');
INSERT INTO changes VALUES(9,'token','P6d4BYehTGMl');
CREATE TABLE nodes (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    lag        BIGINT NOT NULL
);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('goose_db_version',10);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX memberships_user ON memberships (user_id);
CREATE INDEX api_keys_newest ON api_keys (project_id, created_at DESC, id DESC);
CREATE INDEX api_keys_external ON api_keys (project_id, external_id) WHERE external_id <> '';
CREATE UNIQUE INDEX api_key_secrets_current ON api_key_secrets (key_id) WHERE valid_until IS NULL;
CREATE INDEX api_key_secrets_key ON api_key_secrets (project_id, key_id);
CREATE INDEX audit_events_newest ON audit_events (organization_id, at DESC, id DESC);
CREATE INDEX audit_events_target ON audit_events (organization_id, target_id, at DESC);
CREATE INDEX idempotency_keys_oldest ON idempotency_keys (created_at);
CREATE UNIQUE INDEX api_key_secrets_lookup ON api_key_secrets (lookup, project_id) WHERE lookup IS NOT NULL;
CREATE INDEX api_key_secrets_import ON api_key_secrets (import_batch) WHERE import_batch IS NOT NULL;
CREATE INDEX organizations_deleted ON organizations (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX invitations_newest ON invitations (organization_id, created_at DESC, id DESC);
CREATE INDEX invitations_email ON invitations (email);
CREATE INDEX mailed_tokens_user ON mailed_tokens (user_id, purpose);
CREATE INDEX mailed_tokens_expiry ON mailed_tokens (expires_at);
CREATE TRIGGER audit_events_keep BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
WHEN OLD.organization_id IS NULL
    OR EXISTS (SELECT 1 FROM organizations WHERE id = OLD.organization_id AND deleted_at IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
CREATE INDEX changes_xid ON changes (xid);
CREATE TRIGGER note_key AFTER UPDATE ON api_keys BEGIN
    INSERT INTO changes SELECT (SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', token_id
        FROM api_key_secrets WHERE project_id = NEW.project_id AND key_id = NEW.id;
END;
CREATE TRIGGER note_secret_update AFTER UPDATE ON api_key_secrets BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', OLD.token_id);
END;
CREATE TRIGGER note_project_update AFTER UPDATE ON projects BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.id);
END;
CREATE TRIGGER note_project_delete AFTER DELETE ON projects BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.id);
END;
CREATE TRIGGER note_organization_update AFTER UPDATE ON organizations BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'organization', OLD.id);
END;
CREATE TRIGGER note_organization_delete AFTER DELETE ON organizations BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'organization', OLD.id);
END;
CREATE TRIGGER note_membership_update AFTER UPDATE ON memberships BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.user_id);
END;
CREATE TRIGGER note_membership_delete AFTER DELETE ON memberships BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.user_id);
END;
CREATE TRIGGER note_user_update AFTER UPDATE ON users BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.id);
END;
CREATE TRIGGER note_user_delete AFTER DELETE ON users BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.id);
END;
CREATE TRIGGER note_session_update AFTER UPDATE OF user_id, created_at, expires_at ON sessions BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'session', OLD.id);
END;
CREATE TRIGGER note_session_delete AFTER DELETE ON sessions BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'session', OLD.id);
END;
CREATE TRIGGER note_signing_key_insert AFTER INSERT ON signing_keys BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
CREATE TRIGGER note_signing_key_update AFTER UPDATE ON signing_keys BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
CREATE TRIGGER note_signing_key_delete AFTER DELETE ON signing_keys BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
CREATE INDEX projects_deleted ON projects (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE TRIGGER note_secret_delete AFTER DELETE ON api_key_secrets
    WHEN EXISTS (
        SELECT 1 FROM projects p JOIN organizations o ON o.id = p.organization_id
        WHERE p.id = OLD.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL
    ) BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', OLD.token_id);
END;
COMMIT;
