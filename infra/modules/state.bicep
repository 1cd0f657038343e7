// The account of the functions host (its leases and the deployed package), and the table that holds people, runs and audit.
param location string
param tags object
param name string
param redundancy string
param appPrincipalId string
param operatorPrincipalId string
param operatorPrincipalType string

var storageBlobDataOwner = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b')
var storageTableDataContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3')

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

    resource packages 'containers' = {
      name: 'packages'
    }
  }

  resource tables 'tableServices' = {
    name: 'default'

    resource joinery 'tables' = {
      name: 'joinery'
    }
  }
}

// The host writes leases and secrets into containers that it makes itself.
resource hostOwnsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, appPrincipalId, storageBlobDataOwner)
  scope: account
  properties: {
    roleDefinitionId: storageBlobDataOwner
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appWritesState 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::tables::joinery.id, appPrincipalId, storageTableDataContributor)
  scope: account::tables::joinery
  properties: {
    roleDefinitionId: storageTableDataContributor
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// For the command: joinery baseline, held, audit and so on, from the machine of whoever operates.
resource operatorWritesState 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::tables::joinery.id, operatorPrincipalId, storageTableDataContributor)
  scope: account::tables::joinery
  properties: {
    roleDefinitionId: storageTableDataContributor
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
  }
}

output name string = account.name
output packagesUrl string = '${account.properties.primaryEndpoints.blob}${account::blobs::packages.name}'
output tablesUrl string = substring(account.properties.primaryEndpoints.table, 0, length(account.properties.primaryEndpoints.table) - 1)
output tableName string = account::tables::joinery.name
