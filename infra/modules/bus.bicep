// The session queue. Its properties are those of PERSON_MESSAGES in adapters/queues/ledger.py; `make check` compares them.
param location string
param tags object
param name string
param appPrincipalId string

var azureServiceBusDataOwner = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '090c5cfd-751d-490a-894a-3ce6f1109419')

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  // Basic has no sessions; Premium is for private networks and for more than about 500 messages a second.
  sku: { name: 'Standard', tier: 'Standard' }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
  }

  resource queue 'queues' = {
    name: 'person-messages'
    properties: {
      requiresSession: true
      lockDuration: 'PT1M'
      maxDeliveryCount: 100
      requiresDuplicateDetection: true
      duplicateDetectionHistoryTimeWindow: 'PT10M'
      defaultMessageTimeToLive: 'P14D'
      deadLetteringOnMessageExpiration: true
    }
  }
}

// Owner of this one queue: it sends, receives, and counts. Without the right to count, the platform scales slowly.
resource appOwnsQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(namespace::queue.id, appPrincipalId, azureServiceBusDataOwner)
  scope: namespace::queue
  properties: {
    roleDefinitionId: azureServiceBusDataOwner
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

output id string = namespace.id
// https://NAME.servicebus.windows.net:443/, with another end in other clouds.
output host string = split(split(namespace.properties.serviceBusEndpoint, '/')[2], ':')[0]
output queueName string = namespace::queue.name
