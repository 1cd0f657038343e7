// Where the audit is sealed: an account of its own, because the host's role on the other one may change policies of its containers.
param location string
param tags object
param name string
param redundancy string
param retentionDays int
param locked bool
param appPrincipalId string
param operatorPrincipalId string
param operatorPrincipalType string

var storageBlobDataContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'ba92f5b4-2d11-453d-a403-e96b0029c9fe')
var storageBlobDataReader = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1')

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource seals 'containers' = {
      name: 'seals'
    }
  }
}

// Of the container, not of its versions: only such a policy lets blocks be added to an append blob. It is made unlocked; README.md says when to lock it.
resource policy 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2023-05-01' = if (!locked) {
  parent: account::blobs::seals
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: retentionDays
    allowProtectedAppendWrites: true
  }
}

resource appAddsSeals 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::seals.id, appPrincipalId, storageBlobDataContributor)
  scope: account::blobs::seals
  properties: {
    roleDefinitionId: storageBlobDataContributor
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource operatorReadsSeals 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::seals.id, operatorPrincipalId, storageBlobDataReader)
  scope: account::blobs::seals
  properties: {
    roleDefinitionId: storageBlobDataReader
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
  }
}

output accountName string = account.name
output url string = '${account.properties.primaryEndpoints.blob}${account::blobs::seals.name}'
