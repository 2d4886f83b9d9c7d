"""Several machines behind one address, by Ray Serve: ingresses take HTTP, replicas take the media (docs/scaling.md).

What Ray runs is in `application`, `filters`, `ingress`, `router` and `scaling`; what decides is plain Python in
`capacity`, `placement`, `directory` and `locations`.
"""
