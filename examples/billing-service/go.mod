module example.com/acme/billing-service

go 1.26
