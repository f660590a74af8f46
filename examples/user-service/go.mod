module example.com/acme/user-service

go 1.26
