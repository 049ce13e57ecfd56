"""A whole local world for the demo and the tests: real servers, one process tree, no Docker.

====================  ==============================================================
`world`               `World`: starts everything, sets it up, ends everything
`openbao`             OpenBao's server, initialised and unsealed
`postgres`            PostgreSQL over TCP with password authentication
`sts`                 moto's STS and IAM, verifying signatures
`ecs`                 the endpoints that ECS gives to a task: credentials, metadata v4
`gateway`             stands before OpenBao: IAM logins, request counts, faults
`iam_login`           what Vault's aws auth method checks in a login
`product_setup`       the tutorial's database, engines, roles and policies
`product_api`         the tutorial's application in miniature
`demo`                `python -m leasekeeper.devstack demo`, with `observers` and `outcome`
====================  ==============================================================

Everything listens on 127.0.0.1 only and writes below two temporary directories. Needs the extra
`devstack`. Nothing of Leasekeeper but its errors and its runtime is used here, so the world can
judge the program from outside.
"""
